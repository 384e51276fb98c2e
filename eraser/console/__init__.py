"""The station seen from outside: metrics, health and the HTTP API over TCP and over the Unix socket; its client.

Knows the station only through `eraser.rack.view`. May be imported by `eraser.cli`. FastAPI and uvicorn are loaded by
`server` alone, prometheus-client by `metrics` alone: whoever only asks a station loads neither.
"""
