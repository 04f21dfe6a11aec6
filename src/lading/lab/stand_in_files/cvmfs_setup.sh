# Sets up the CVMFS stand-in in a guest: autofs at /cvmfs, and squashfuse for what it mounts. The texts of the files come
# before this, as variables.
set -eu
lab=/usr/local/lib/lading-lab
scratch=$(mktemp --directory /var/tmp/lading-lab.XXXXXX)
# Lists and archives of its own: what apt knows on this host is the path's business.
apt() {
    env DEBIAN_FRONTEND=noninteractive apt-get --yes -qq -o "Dir::State::Lists=$scratch/lists" -o "Dir::Cache=$scratch/cache" \
        -o APT::Sandbox::User=root -o APT::Install-Recommends=false "$@"
}
mkdir --parents "$scratch/lists/partial" "$scratch/cache/archives/partial"
apt update
# The real client brings these two as well.
apt install autofs fuse3 >/dev/null
# Squashfuse it does not bring, and Apptainer behaves otherwise where it finds it: so it is not installed, only there.
rm -f "$scratch"/cache/archives/*.deb
apt install --download-only squashfuse >/dev/null
mkdir --parents "$lab/squashfuse"
for package in "$scratch"/cache/archives/*.deb; do dpkg-deb --extract "$package" "$lab/squashfuse"; done
rm -r "$scratch"

mkdir --parents /etc/lading-lab
printf '%s' "$DISKS" >/etc/lading-lab/cvmfs-disks
printf '%s' "$MAP" >/etc/lading-lab/cvmfs-map
printf '%s' "$MOUNT" >/usr/sbin/mount.lading-lab-cvmfs
chmod 755 /etc/lading-lab/cvmfs-map /usr/sbin/mount.lading-lab-cvmfs
mkdir --parents /etc/auto.master.d
printf '/cvmfs program:/etc/lading-lab/cvmfs-map --timeout=%s --negative-timeout=1\n' "$IDLE" \
    >/etc/auto.master.d/lading-lab-cvmfs.autofs
systemctl restart autofs
timeout 60 sh -c 'until mountpoint --quiet /cvmfs; do sleep 0.2; done'
