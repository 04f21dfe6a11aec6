"""Make tokens of issuers that are nowhere: HTCondor-CE gets their keys into its cache, and asks nobody.

That is how HTCondor's own condor_test_token does it, which needs Python packages that Debian's condor does not bring.
Run as root on the host of HTCondor-CE: tokens.py CACHE FOLDER OWNER NAME=ISSUER...
A token is FOLDER/NAME, and OWNER's alone.
"""

import base64
import ctypes
import json
import shutil
import subprocess
import sys
from pathlib import Path

POINTER, TEXT, NUMBER = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
CALLS = {
    "scitoken_config_set_int": (NUMBER, [TEXT, NUMBER, POINTER]),
    "scitoken_config_set_str": (NUMBER, [TEXT, TEXT, POINTER]),
    "keycache_set_jwks": (NUMBER, [TEXT, TEXT, POINTER]),
    "scitoken_key_create": (POINTER, [TEXT, TEXT, TEXT, TEXT, POINTER]),
    "scitoken_create": (POINTER, [POINTER]),
    "scitoken_set_claim_string": (NUMBER, [POINTER, TEXT, TEXT, POINTER]),
    "scitoken_set_lifetime": (None, [POINTER, NUMBER]),
    "scitoken_serialize": (NUMBER, [POINTER, POINTER, POINTER]),
}
CLAIMS = {
    "sub": "pilot",
    "wlcg.ver": "1.0",
    "aud": "https://wlcg.cern.ch/jwt/v1/any",
    "scope": "compute.read compute.create compute.modify compute.cancel",
}


def main(cache: str, folder: str, owner: str, *issuers: str) -> None:
    """Make one key, and a token of each issuer."""
    library = ctypes.CDLL("libSciTokens.so.0")
    for name, (result, arguments) in CALLS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    error = TEXT()

    def call(name: str, *words: object) -> None:
        if getattr(library, name)(*words, ctypes.byref(error)):
            sys.exit(f"{name}: {error.value!r}")

    def openssl(*words: str, given: bytes = b"") -> bytes:
        return subprocess.run(["openssl", *words], input=given, stdout=-1, stderr=-3, check=True).stdout

    def text(raw: bytes) -> str:
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    private = openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout")
    public = openssl("ec", "-pubout", "-outform", "DER", given=private)
    shown = {"alg": "ES256", "kty": "EC", "crv": "P-256", "use": "sig", "kid": "lading"}
    shown |= {"x": text(public[-64:-32]), "y": text(public[-32:])}
    call("scitoken_config_set_str", b"keycache.cache_home", cache.encode())
    # After ten minutes the daemons would ask for newer keys, and wait for an issuer that is nowhere.
    call("scitoken_config_set_int", b"keycache.update_interval_s", 86400)
    key = library.scitoken_key_create(b"lading", b"ES256", b"", private, ctypes.byref(error))
    Path(folder).mkdir(mode=0o700)
    for name, _, issuer in (word.partition("=") for word in issuers):
        call("keycache_set_jwks", issuer.encode(), json.dumps({"keys": [shown]}).encode())
        token = library.scitoken_create(key)
        for claim, value in {"iss": issuer, **CLAIMS}.items():
            call("scitoken_set_claim_string", token, claim.encode(), value.encode())
        library.scitoken_set_lifetime(token, 3600)
        said = TEXT()
        call("scitoken_serialize", token, ctypes.byref(said))
        file = Path(folder, name)
        file.touch(mode=0o600)
        file.write_bytes(said.value or b"")
        shutil.chown(file, owner)
    shutil.chown(folder, owner)
    # The daemons read the cache as their own account.
    subprocess.run(["chown", "--recursive", "condor:condor", cache], check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
