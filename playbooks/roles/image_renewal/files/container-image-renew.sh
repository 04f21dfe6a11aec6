#!/bin/sh
# It uses modules of container-image; '-B' since what root's Python would leave there nobody would remove.
PYTHONPATH=/usr/local/lib/container-image exec python3 -B /usr/local/lib/container-image-renew/renew.py "$@"
