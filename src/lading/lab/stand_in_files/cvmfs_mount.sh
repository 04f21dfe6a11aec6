#!/bin/bash
# The CVMFS stand-in: mount(8) calls this for the file system type 'lading-lab-cvmfs', as 'REPOSITORY FOLDER [OPTION]...'.
# The process is found by its command line as the real one is: 'cvmfs2... FOLDER'.
set -eu
repository=$1 folder=$2
pattern="^cvmfs2-stand-in.* $folder\$"
# As the real client on older kernels, which cannot attach to a former process: while a container in a mount namespace
# of its own keeps one alive, nothing is mounted.
for _ in 1 2 3 4 5; do
    pgrep --full "$pattern" >/dev/null || break
    sleep 0.2
done
if pgrep --full "$pattern" >/dev/null; then
    echo "The CVMFS stand-in: a process of '$repository' still runs." >&2
    exit 32
fi
while read -r name disk wait; do
    if [ "$name" = "$repository" ]; then
        [ -b "$disk" ] || break
        sleep "$wait"
        root=/usr/local/lib/lading-lab/squashfuse
        export LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu
        options=ro,nosuid,nodev,allow_other,fsname=cvmfs-stand-in
        exec -a cvmfs2-stand-in "$root/usr/bin/squashfuse_ll" -o "$options" "$disk" "$folder"
    fi
done </etc/lading-lab/cvmfs-disks
echo "The CVMFS stand-in has no disk for '$repository'." >&2
exit 32
