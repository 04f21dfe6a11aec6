#!/bin/sh
exec python3 /usr/local/lib/container-image/main.py "$@"
