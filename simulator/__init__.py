"""Replicate's and OpenAI's HTTP APIs, simulated: real files, real timing, and faults on demand.

A program of its own that shares no code with the server it is called by; the two meet over HTTP only.
"""
