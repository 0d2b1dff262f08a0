"""Compose without an engine: `docker-compose.yml` and `.env` as they are, the programs as processes of this machine.

`make deployment` runs the real engine. Commands of the documentation, and `deploy/roll.sh`, are run here: their
`docker` is `client.py`, which asks the process of `engine.py`. Postgres, Valkey, SeaweedFS and Caddy are the real
programs; a service gets the environment that Compose would give it. What is not looked at: images, networks, limits and
volumes.
"""
