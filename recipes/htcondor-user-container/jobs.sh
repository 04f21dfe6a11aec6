# Jobs as an ordinary user submits them.

within() { # SECONDS COMMAND: repeats it until it is well, for that long at most
    deadline=$(($(date +%s) + $1)); shift
    until "$@"; do
        [ "$(date +%s)" -lt "$deadline" ] || return 1
        sleep 2
    done
}

# It waits until it is released: jobs that are released at one time are matched at one time.
submit() { # NAME IMAGE SCRIPT [LINES OF A SUBMIT FILE]: one job in a container; says its number
    printf '%s\n' "$3" >"$HOME/lading-$1.sh"
    printf '%s\n' universe=container "container_image=$2" executable=/bin/sh transfer_executable=false hold=true \
        "arguments=lading-$1.sh" "transfer_input_files=lading-$1.sh" should_transfer_files=yes request_memory=128 request_disk=100M \
        "output=lading-$1.out" "error=lading-$1.err" "log=lading-$1.log" "initialdir=$HOME" "$4" queue >"$HOME/lading-$1.sub"
    condor_submit -terse "$HOME/lading-$1.sub" | sed 's/[^0-9].*//'
}

field() { # JOB ATTRIBUTES: what HTCondor says of a job, in the queue or after
    { condor_q "$@"; condor_history -limit 1 "$@"; } 2>/dev/null | head -n 1
}

ended() { # JOBS: none of them waits or runs; a queue that does not answer has not said so
    waiting=$(condor_q "$@" -af JobStatus 2>/dev/null) && ! echo "$waiting" | grep -q '[1267]'
}

# A node's own ad is renewed when its check has spoken, those of its slots at their next update.
node() { # NAME: what the pool hears from it
    condor_status -any -constraint "MyType == \"StartD\" && Machine == \"$1\"" -af ContainerCheckOut ContainerCheckFailing
}

node_says() { # NAME EXPRESSION: the pool says so of the node
    condor_status -any -constraint "MyType == \"StartD\" && Machine == \"$1\" && ($2)" -af Machine 2>/dev/null | grep -q .
}

# Slots as well: jobs are matched with slots.
places() { # so many nodes have been heard of, all of them free of faults
    [ "$(condor_status -constraint 'ContainerCheckOut =?= false' -af Machine 2>/dev/null | sort -u | wc -l)" -ge "$NODES" ] &&
        [ -z "$(condor_status -any -constraint 'MyType == "StartD" && ContainerCheckFailing =!= undefined' -af Name 2>/dev/null)" ]
}
