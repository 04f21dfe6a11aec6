#!/bin/sh
# The CVMFS stand-in: automount asks what to mount for the name $1. Upstream's map answers for any name with a dot.
cut --delimiter=' ' --fields=1 /etc/lading-lab/cvmfs-disks | grep --quiet --line-regexp --fixed-strings -e "$1" || exit 1
echo "-fstype=lading-lab-cvmfs :$1"
