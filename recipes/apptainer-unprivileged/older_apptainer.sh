# What several starts of this recipe share: an older Apptainer, in a repository of the site's own.
#
# The laboratory's mirror has one Apptainer, that of Debian unstable. The older one is made of it: the programs are the
# same, the version, a default in its settings file and, where asked for, a setuid starter are as in an older one. It
# depends on nothing that the guest lacks, so that making it takes seconds.

site=/srv/packages

# older_apptainer VERSION [suid]: install it, and leave its repository on the host.
older_apptainer() {
    export DEBIAN_FRONTEND=noninteractive
    mkdir -p $site/new && cd $site
    fetch_apptainer
    dpkg-deb --raw-extract apptainer_*.deb new/apptainer && rm apptainer_*.deb
    sed -i "s/^Version: .*/Version: $1/; s/^Depends: .*/Depends: libc6, libseccomp2/; /Built-Using/d" \
        new/apptainer/DEBIAN/control
    sed -i 's/^download concurrency = 3$/download concurrency = 2/' new/apptainer/etc/apptainer/apptainer.conf
    [ -z "${2-}" ] || make_suid "$1"
    make_repository
    # Who asks for the setuid starter gets Apptainer with it, as a package that apt counts as automatic.
    apt-get --quiet=2 install "apptainer${2:+-suid}" >/dev/null
}

fetch_apptainer() {
    uri=$(sed -n 's/^URIs: //p' /etc/apt/sources.list.d/debian.sources | head -n 1)
    signed=/usr/share/keyrings/debian-archive-keyring.gpg
    echo "deb [signed-by=$signed check-valid-until=no] $uri unstable main" >new/unstable.list
    mkdir -p new/lists/partial
    set -- -o Dir::Etc::SourceList=$site/new/unstable.list -o Dir::Etc::SourceParts=- -o Dir::State::Lists=$site/new/lists
    apt-get --quiet=2 "$@" update
    apt-get --quiet=2 "$@" download apptainer 2>/dev/null
}

make_suid() {
    starter=$(cd new/apptainer && find usr -path '*/apptainer/bin/starter')
    mkdir -p new/suid/DEBIAN
    install -D --mode=4755 "new/apptainer/$starter" "new/suid/$starter-suid"
    sed "s/^Package: .*/Package: apptainer-suid/; s/^Depends: .*/Depends: apptainer (= $1)/; /^Provides:/d" \
        new/apptainer/DEBIAN/control >new/suid/DEBIAN/control
}

# Not compressed: under emulation that would take longer than all the rest.
make_repository() {
    for tree in new/*/; do
        [ ! -d "$tree/DEBIAN" ] || dpkg-deb -Znone --build "$tree" . >/dev/null
    done
    rm -r new
    for package in *.deb; do
        dpkg-deb --field "$package"
        echo "Filename: ./$package"
        echo "Size: $(stat --format=%s "$package")"
        echo "SHA256: $(sha256sum "$package" | cut -d' ' -f1)"
        echo
    done >Packages
    echo "deb [trusted=yes] file:$site ./" >/etc/apt/sources.list.d/site.list
    apt-get --quiet=2 -o Dir::Etc::SourceList=/etc/apt/sources.list.d/site.list -o Dir::Etc::SourceParts=- \
        -o APT::Get::List-Cleanup=0 update
}
