# Runs on the host inside mmdebstrap's user namespace, with the guest's root tree as $1; all texts come by environment.
set -eu
root=$1

home=$root/root
install -d -m 0700 "$home/.ssh"
printf '%s' "$USER_KEY_PUB" > "$home/.ssh/authorized_keys"
# One pinned host key: the others would only cost time at each boot.
rm -f "$root"/etc/ssh/ssh_host_*
(umask 077; printf '%s' "$HOST_KEY" > "$root/etc/ssh/ssh_host_ed25519_key")
printf '%s' "$HOST_KEY_PUB" > "$root/etc/ssh/ssh_host_ed25519_key.pub"
# Reverse look-ups would wait for a name server that the guest cannot reach.
printf 'UseDNS no\nMaxStartups 64\nMaxSessions 64\n' > "$root/etc/ssh/sshd_config.d/10-lading-lab.conf"

printf '[Match]\nName=eth0\n[Network]\nAddress=10.0.2.15/24\nLinkLocalAddressing=no\n' \
  > "$root/etc/systemd/network/10-lading-lab.network"
printf 'lading-guest\n' > "$root/etc/hostname"
printf '127.0.0.1 localhost\n::1 localhost\n' > "$root/etc/hosts"

rm -f "$root/etc/apt/sources.list"
printf '%s' "$SOURCES" > "$root/etc/apt/sources.list.d/debian.sources"
printf 'Acquire::http::Proxy "%s";\nAcquire::Languages "none";\n' "$PROXY" > "$root/etc/apt/apt.conf.d/90lading-lab"

install -d "$root/usr/local/lib/lading-lab"
printf '%s' "$CHANNEL" > "$root/usr/local/lib/lading-lab/channel"
chmod 0755 "$root/usr/local/lib/lading-lab/channel"
printf '%s' "$CHANNEL_SERVICE" > "$root/etc/systemd/system/lading-channel.service"
chroot "$root" systemctl --quiet enable systemd-networkd.service ssh.service lading-channel.service
# Timers that wake while a proof runs would make times and states differ from run to run.
chroot "$root" systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer

for user in $USERS; do
  chroot "$root" useradd --create-home --shell /bin/bash "$user"
done

# mmdebstrap keeps packages from starting their services while it works. It takes that back when its hooks have ended,
# and by then the disk is written.
rm -f "$root/usr/sbin/policy-rc.d"
if [ -e "$root/sbin/start-stop-daemon.REAL" ]; then
  mv -f "$root/sbin/start-stop-daemon.REAL" "$root/sbin/start-stop-daemon"
fi

cat "$root"/boot/vmlinuz-* > "$OUT_VMLINUZ"
cat "$root"/boot/initrd.img-* > "$OUT_INITRD"
chroot "$root" dpkg-query --show > "$OUT_PACKAGES"
rm -f "$root"/var/cache/apt/archives/*.deb
# Programs expect the file (Apptainer binds it into containers), though no name server can be reached.
printf "# The laboratory has no name server.\n" > "$root/etc/resolv.conf"
# Empty, not missing: systemd then takes a new id at each first boot without calling it a first boot.
: > "$root/etc/machine-id"
