# Writes the tree $1 to an ext4 disk $OUT_DISK of $SIZE, inside mmdebstrap's user namespace so that owners are right.
# The tree is looked at through a plain bind mount: /proc, /sys and /dev, mounted in it for the hooks, are not below that.
set -eu
install -d "$1/mnt"
mount --bind "$1" "$1/mnt"
truncate --size="$SIZE" "$OUT_DISK"
mke2fs -q -F -t ext4 -m 0 -E lazy_itable_init=1,lazy_journal_init=1 -d "$1/mnt" "$OUT_DISK"
umount "$1/mnt"
