# What several starts of this recipe share: an Apptainer of the site's own, of the time when its setuid part came with it.
#
# It is a package with a setuid starter and with settings. No program in it does anything: what matters here is that it is
# there, that pilots do not use it, and that the playbook does not touch it.

# local_apptainer: install it.
local_apptainer() {
    tree=$(mktemp --directory)
    mkdir --parents "$tree/DEBIAN" "$tree/etc/apptainer" "$tree/usr/bin"
    printf '%s\n' 'Package: apptainer-suid' 'Version: 1.1.9-1' 'Architecture: all' 'Maintainer: Site <site@site.example>' \
        'Description: container platform with its setuid part' >"$tree/DEBIAN/control"
    echo /etc/apptainer/apptainer.conf >"$tree/DEBIAN/conffiles"
    printf '%s\n' 'allow setuid = yes' 'allow user ns = no' 'bind path = /srv/of-long-ago' >"$tree/etc/apptainer/apptainer.conf"
    install -D --mode=4755 /bin/true "$tree/usr/libexec/apptainer/bin/starter-suid"
    printf '#!/bin/sh\nexit 255\n' >"$tree/usr/bin/apptainer"
    chmod 755 "$tree/usr/bin/apptainer" "$tree"
    # Not compressed: under emulation that would take longer than all the rest.
    dpkg-deb -Znone --build "$tree" "$tree.deb" >/dev/null
    dpkg --install "$tree.deb" >/dev/null
    rm --recursive "$tree" "$tree.deb"
}
