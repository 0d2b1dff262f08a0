"""Programs as customers write them. They know only the server's address and API keys."""
