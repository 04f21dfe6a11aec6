# A pool of the site's own, with settings of the site's own: two starts of this recipe have it.

# pool_of_the_site [LINES FOR EXECUTION POINTS]: install it.
pool_of_the_site() {
    mkdir --parents /etc/condor/config.d && mkdir --mode=700 /etc/condor/passwords.d
    (umask 077; printf 'the same on all hosts of the desk' >/etc/condor/passwords.d/POOL)
    {
        printf '%s\n' '# Ask bob before you change this.' 'CONDOR_HOST = head1.site.example' 'UID_DOMAIN = site.example' 'TRUST_DOMAIN = site.example' \
            'NETWORK_INTERFACE = eth1' 'RUNBENCHMARKS = False' 'ENABLE_KERNEL_TUNING = False' 'SEC_SYSTEM_KNOWN_HOSTS = /var/lib/condor/known_hosts'
        case $(hostname) in
        head*) printf '%s\n' 'use ROLE:CentralManager' 'use ROLE:Submit' 'NEGOTIATOR_INTERVAL = 10' ;;
        *) printf '%s\n' 'use ROLE:Execute' 'NUM_CPUS = 2' 'UPDATE_INTERVAL = 30' 'START = KeyboardIdle > 1 || true' "$@" ;;
        esac
    } >/etc/condor/config.d/50-desk.config
    apt-get update -qq && apt-get install -qq --yes --no-install-recommends condor
    # Until the daemons have made themselves what they keep in /etc/condor.
    case $(hostname) in head*) up='condor_status -schedd -af Name | grep --quiet .' ;; *) up='[ -s /var/log/condor/StartLog ]' ;; esac
    timeout 300 sh -c "until $up; do sleep 2; done"
    systemctl is-active --quiet condor
}
