#!/bin/bash
# The lab's root channel: reads `ID BASE64(SCRIPT)` from a virtio-serial port, answers `ID EXIT-CODE BASE64(OUTPUT)`.
port=/dev/virtio-ports/lading.root
exec 3<> "$port"
while true; do
  if ! IFS=' ' read -r -u 3 id script; then
    # The port gives end-of-file while no host listens (before and after a snapshot), and can't be waited for.
    sleep 0.05
    continue
  fi
  [ -n "$id" ] || continue
  output=$(bash -c "$(base64 -d <<< "$script")" 2>&1 < /dev/null 3>&-; echo "rc:$?")
  printf '%s %s %s\n' "$id" "${output##*rc:}" "$(base64 -w0 <<< "${output%rc:*}")" >&3
done
