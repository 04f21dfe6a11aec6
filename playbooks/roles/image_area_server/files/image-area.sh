#!/bin/sh
exec python3 -B /usr/local/lib/image-area/main.py "$@"
