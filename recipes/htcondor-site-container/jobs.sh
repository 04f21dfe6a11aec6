# Jobs as an ordinary user submits them.

within() { # SECONDS COMMAND: repeats it until it is well, for that long at most
    deadline=$(($(date +%s) + $1)); shift
    until "$@"; do
        [ "$(date +%s)" -lt "$deadline" ] || return 1
        sleep 2
    done
}

# It waits until it is released: jobs that are released at one time are matched at one time.
submit() { # NAME SCRIPT [LINES OF A SUBMIT FILE]: one job, that says nothing of containers by itself; says its number
    rm -f "$HOME/lading-$1".* # HTCondor adds to a log that is there
    printf '#!/bin/sh\n%s\n' "$2" >"$HOME/lading-$1.sh"
    printf '%s\n' "executable=lading-$1.sh" transfer_executable=true hold=true should_transfer_files=yes when_to_transfer_output=on_exit \
        request_memory=128 request_disk=50M "output=lading-$1.out" "error=lading-$1.err" "log=lading-$1.log" "initialdir=$HOME" "$3" queue \
        >"$HOME/lading-$1.sub"
    chmod 755 "$HOME/lading-$1.sh"
    condor_submit -terse "$HOME/lading-$1.sub" | sed 's/[^0-9].*//'
}

field() { # JOB ATTRIBUTES: what HTCondor says of a job, in the queue or after
    { condor_q "$@"; condor_history -limit 1 "$@"; } 2>/dev/null | head -n 1
}

ended() { # JOBS: none of them waits or runs; a queue that does not answer has not said so
    waiting=$(condor_q "$@" -af JobStatus 2>/dev/null) && ! echo "$waiting" | grep -q '[1267]'
}

# Its log tells, and not its state: a job that is given back is started again at once.
given_back() { # JOB WORDS: its container did not start, for that reason; or it has ended, and never will be
    grep -q "Singularity test failed:.*$2" "$HOME/lading-one.log" || ended "$1"
}

started() { # JOB: a node has taken it once at least
    [ "$(field "$1" -af 'NumShadowStarts ?: 0')" -gt 0 ]
}

node_says() { # NAME EXPRESSION: the pool says so of all slots of the node
    said=$(condor_status -constraint "Machine == \"$1\"" -af "$2" 2>/dev/null | sort -u)
    [ "$said" = true ]
}

places() { # so many nodes have been heard of on which HTCondor gets a container
    [ "$(condor_status -constraint 'HasSingularity =?= true' -af Machine 2>/dev/null | sort -u | wc -l)" -ge "$NODES" ]
}
