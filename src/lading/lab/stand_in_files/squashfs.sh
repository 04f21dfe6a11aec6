# Packs the tree $1 as the squashfs $OUT_DISK, inside mmdebstrap's user namespace so that owners are right.
# Uncompressed: an emulated processor unpacks slowly, and the disk of the machine that proves is large.
set -eu
install -d "$1/mnt"
mount --bind "$1" "$1/mnt"
mksquashfs "$1/mnt" "$OUT_DISK" -noappend -no-progress -quiet -noI -noId -noD -noF -noX
umount "$1/mnt"
