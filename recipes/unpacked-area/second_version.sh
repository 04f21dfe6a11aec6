# For checks: a second version of an image, signed, that differs from the one in use in one file. It lies where images
# are built, so that links do for a copy; the folder's name is printed, for CONTAINER_IMAGES.
SECOND=2000-01-01-second
MARK=usr/lib/os-release

second_version() (
    set -e
    from=$(readlink -e "/srv/container-images/$NAME/current")
    area=$(mktemp --directory --tmpdir=/srv/container-images .second-XXXXXX)
    echo "$area"
    cp /srv/container-images/trusted.gpg "$area"
    mkdir --parents "$area/$NAME/$SECOND" && cd "$area/$NAME/$SECOND"
    cp "$from/sbom.spdx.json" .
    cp --archive --link "$from/tree" .
    rm "tree/$MARK" && { cat "$from/tree/$MARK"; echo '# second'; } >"tree/$MARK"
    size=$(stat --format=%s "tree/$MARK")
    sum=$(sha256sum <"tree/$MARK" | cut -d ' ' -f 1)
    sed "s|^\(\./$MARK type=file mode=[0-7]*\) .*|\1 size=$size sha256digest=$sum|" "$from/tree.mtree" >tree.mtree
    former=$(sha256sum <"$from/tree.mtree" | cut -d ' ' -f 1)
    sum=$(sha256sum <tree.mtree | cut -d ' ' -f 1)
    sed "s/$former/$sum/; s/\"version\": \"[^\"]*\"/\"version\": \"$SECOND\"/" "$from/manifest.json" >manifest.json
    gpg --batch --quiet --armor --detach-sign manifest.json
)

# What of it is in the image area, which a tidy would keep for as long as a job might use it.
forget_second_version() {
    exec 9>>/srv/unpacked/.area/lock && flock 9
    rm -rf "/srv/unpacked/$NAME/$SECOND" "/srv/unpacked/.area/left/$NAME/$SECOND"
    find /srv/unpacked/.area/data -type f -links 1 -delete
}
