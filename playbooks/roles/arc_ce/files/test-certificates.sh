# Certificates for trials, beside those that ARC's package makes of its test CA for the host: one of a VOMS server that is
# not there, whose part the user plays, the files by which the CE believes it, and one of the user. Words: the user, the VOs.

set -e
user=$1
shift
cd /etc/grid-security
[ -e testCA-hostcert.pem ] || { arcctl test-ca init --force; arcctl test-ca hostcert; }
if [ ! -e testVOMS-cert.pem ]; then
    folder=$(mktemp --directory)
    # As a user's: the name of a host's has a slash in it, which the two sides write differently.
    (cd "$folder" && arcctl test-ca usercert --username voms.site.example --no-auth >/dev/null)
    mv "$folder/client-voms.site.example-key.pem" testVOMS-key.pem
    mv "$folder/client-voms.site.example-cert.pem" testVOMS-cert.pem
    chmod 400 testVOMS-key.pem
    chown "$user" testVOMS-key.pem
    rmdir "$folder"
fi
for vo; do
    mkdir --parents "vomsdir/$vo"
    openssl x509 -in testVOMS-cert.pem -noout -subject -issuer -nameopt compat | sed 's/^[a-z]*=//' >"vomsdir/$vo/voms.site.example.lsc"
done
home=$(getent passwd "$user" | cut --delimiter=: --fields=6)
[ -e "$home/.globus/usercert.pem" ] || arcctl test-ca usercert --install-user "$user" --username "$user" --no-auth
