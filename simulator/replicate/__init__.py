"""Replicate's HTTP API: predictions, models, webhooks and the delivery of files."""
