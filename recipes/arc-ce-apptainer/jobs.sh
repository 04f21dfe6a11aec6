# Grid jobs as a member of two VOs sends them with ARC's client, from the CE itself.

proxies() { # FOLDER VO...: as a VOMS server would make them, which the test user has the key of
    globus=$1
    shift
    for vo; do
        voms-proxy-fake -quiet -rfc -hours 12 -voms "$vo" -fqan "/$vo" -uri voms.site.example:15000 \
            -hostcert /etc/grid-security/testVOMS-cert.pem -hostkey /etc/grid-security/testVOMS-key.pem \
            -cert "$globus/usercert.pem" -key "$globus/userkey.pem" -out "$vo.proxy" || return
    done
}

script() { # what a job does: it tells where it is, and makes a file
    printf '%s\n' '#!/bin/sh' 'echo "image [$APPTAINER_CONTAINER]"' 'echo "account [$(id -un)]"' 'echo "run [$RUN]"' \
        'echo "slurm [$(env | grep -c ^SLURM_)]"' 'echo "made in [$APPTAINER_CONTAINER]" >result'
}

description() { # NAME WORDS
    echo "&(jobname=$1)(stdout=out)(stderr=err)(gmlog=log)(walltime=10)(environment=(\"RUN\" \"7 of 9\"))$2" >"$1.xrsl"
}

send() { # VO NAME...: the files NAME.xrsl; their ids go to VO.jobs, and A-REX's own numbers to NAME.id
    vo=$1
    shift
    for name; do
        # A service that has just started does not listen yet. ARC's own 20 seconds are short for an emulated handshake.
        tries=0
        until X509_USER_PROXY=$PWD/$vo.proxy arcsub --timeout 120 --computing-element "$(hostname --fqdn)" \
            --submission-endpoint-type arcrest --info-endpoint-type NONE --joblist "$PWD/$vo.jobs" "$name.xrsl" \
            >"$name.sent" 2>&1 || [ $((tries += 1)) -ge 5 ]; do sleep 5; done
        sed -n 's|.*jobid: .*/||p' "$name.sent" >"$name.id"
    done
}

fetch() { # VO NAME...: until each of these that was sent has come back, as a folder of its name
    vo=$1
    shift
    end=$(($(date +%s) + 600))
    until back "$@" || [ "$(date +%s)" -gt "$end" ]; do
        sleep 3
        X509_USER_PROXY=$PWD/$vo.proxy arcget --timeout 120 --all --joblist "$PWD/$vo.jobs" --usejobname --dir got \
            >/dev/null 2>&1
    done
}

back() { # NAME...: whether all have come that were sent
    for name; do [ ! -s "$name.id" ] || [ -d "got/$name" ] || return; done
}

came() { # NAME: what came back of a job
    for file in out err result log/failed; do
        [ ! -e "got/$1/$file" ] || sed "s|^|$file: |" "got/$1/$file"
    done
}

accounted() { # ID: what A-REX's accounting has of a job, which it writes when the job has ended
    [ -n "$1" ] || { echo "The job was not sent."; return 1; }
    arcctl accounting job info "$1"
}
