"""Small valid files of every medium, rendered from a prompt; each says that it is simulated."""
