# Jobs as they come from outside: with the token of a VO, and with their files sent along.

within() { # SECONDS COMMAND: repeats it until it is well, for that long at most
    deadline=$(($(date +%s) + $1)); shift
    until "$@"; do
        [ "$(date +%s)" -lt "$deadline" ] || return 1
        sleep 2
    done
}

ce() { # COMMAND: one of HTCondor's, for HTCondor-CE
    ce_command=$1; shift
    CONDOR_CONFIG=/etc/condor-ce/condor_config "condor_$ce_command" "$@"
}

as() { # VO COMMAND: the same with the VO's token, and nothing else to be known by
    ce_token=$HOME/lading-tokens/$1; shift
    (
        export _condor_SCITOKENS_FILE="$ce_token" _condor_AUTH_SSL_CLIENT_CAFILE=/var/lib/condor-ce/hostcert.pem
        export _condor_SEC_CLIENT_AUTHENTICATION_METHODS=SCITOKENS
        ce "$@"
    )
}

submit() { # VO NAME SECONDS [LINES OF A SUBMIT FILE]: one job that says where it runs, after so many seconds; says its number
    mkdir -p "$HOME/lading-jobs/$2" && cd "$HOME/lading-jobs/$2" || return
    echo "from the submitter of $2" >input
    printf '%s\n' 'sleep "$1"; . /etc/os-release; echo "in $VERSION_ID as $(id -u)"; cat input; exit 3' >job.sh
    printf '%s\n' universe=vanilla "$4" executable=/bin/sh transfer_executable=false "arguments=job.sh $3" \
        transfer_input_files=job.sh,input should_transfer_files=yes request_memory=128 request_disk=100M \
        output=out error=err queue >job.sub
    as "$1" submit -terse -spool job.sub | sed 's/[^0-9].*//'
}

status() { # STATES JOBS: all these jobs are in one of these states, as 45
    ce_states=$1; shift
    for ce_job; do ce q "$ce_job" -af JobStatus 2>/dev/null | grep -q "^[$ce_states]\$" || return; done
}

routed() { # JOBS: one of them at least has a copy in the batch system
    ce q "$@" -af RoutedToJobId 2>/dev/null | grep -q '^[0-9]'
}

copies() { # JOB: its copies in the batch system's queue
    condor_q -allusers -constraint "RoutedFromJobId == \"$1.0\"" -af ClusterId 2>/dev/null
}

gone() { # JOB: it has no copy any more
    [ -z "$(copies "$1")" ]
}
