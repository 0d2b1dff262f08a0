"""Programs as customers write them. They know nothing of the server but its address and its keys."""
