# A site of its own, in which nothing is the path's: Slurm on both hosts, and on one a CE with its own words in all files.

slurm_of_the_desk() {
    mkdir --parents /etc/munge /etc/slurm && chmod 700 /etc/munge
    echo 'the same on all hosts of the desk' | sha512sum | cut --characters=1-128 >/etc/munge/munge.key
    chmod 400 /etc/munge/munge.key
    printf '%s\n' '# Ask bob before you change this.' ClusterName=desk SlurmctldHost=head1 SlurmUser=slurm \
        StateSaveLocation=/var/lib/slurm/slurmctld SlurmdSpoolDir=/var/lib/slurm/slurmd MpiDefault=none \
        SlurmctldPidFile=/run/slurmctld/slurmctld.pid SlurmdPidFile=/run/slurm/slurmd.pid ReturnToService=2 \
        'NodeName=ce1 CPUs=1 RealMemory=512' 'PartitionName=desk Nodes=ALL Default=YES State=UP' >/etc/slurm/slurm.conf
    echo SystemdTimeout=20000 >/etc/slurm/cgroup.conf
    case $(hostname) in head*) daemon=slurmctld ;; *) daemon=slurmd ;; esac
    apt-get update -qq && apt-get install -qq --yes --no-install-recommends munge slurm-client "$daemon" || return
    systemctl is-active --quiet "$daemon"
}

ce_of_the_desk() {
    apt-get install -qq --yes --no-install-recommends nordugrid-arc-arex nordugrid-arc-client voms-clients time || return
    printf '%s\n' '# Ask bob before you change this.' '[authgroup:astronomers]' 'voms = astro.example * * *' \
        '[authgroup:biologists]' 'voms = bio.example * * *' '[mapping]' 'map_to_user = astronomers pilot01' \
        'map_to_user = biologists bob' '[lrms]' 'lrms = slurm' 'slurm_use_sacct = no' 'slurm_wakeupperiod = 5' '[arex]' \
        'controldir = /var/spool/arc/of-the-desk' 'wakeupperiod = 10' '[arex/ws]' '[arex/ws/jobs]' \
        'allowaccess = astronomers' 'allowaccess = biologists' '[infosys]' '[infosys/glue2]' '[infosys/cluster]' \
        '[queue:desk]' >/etc/arc.conf
    folder=$(mktemp --directory) && cd "$folder" || return
    arcctl test-ca usercert --username voms.site.example --no-auth >/dev/null || return
    mv client-*-cert.pem /etc/grid-security/testVOMS-cert.pem && mv client-*-key.pem /etc/grid-security/testVOMS-key.pem
    chmod 400 /etc/grid-security/testVOMS-key.pem && chown alice /etc/grid-security/testVOMS-key.pem
    for vo in astro.example bio.example; do
        mkdir --parents "/etc/grid-security/vomsdir/$vo"
        openssl x509 -in /etc/grid-security/testVOMS-cert.pem -noout -subject -issuer -nameopt compat |
            sed 's/^[a-z]*=//' >"/etc/grid-security/vomsdir/$vo/voms.site.example.lsc"
    done
    arcctl test-ca usercert --install-user alice --username alice --no-auth || return
    arcctl rte default ENV/PROXY || return
    # The lab is slow: systemd's 90 seconds are not enough for a start there, and two at once take twice as long.
    for unit in arc-arex arc-arex-ws; do
        mkdir --parents "/etc/systemd/system/$unit.service.d"
        printf '%s\n' '[Service]' TimeoutStartSec=600 >"/etc/systemd/system/$unit.service.d/of-the-desk.conf"
    done
    systemctl daemon-reload
    for unit in arc-arex arc-arex-ws; do systemctl enable --quiet "$unit" && systemctl start "$unit" || return; done
}
