# What Apptainer binds into every container. What a session names itself stays, and comes first.
for container_binds_path in /site /cvmfs; do
    case ",${APPTAINER_BINDPATH-}," in
        *",$container_binds_path,"*) ;;
        *) APPTAINER_BINDPATH=${APPTAINER_BINDPATH:+$APPTAINER_BINDPATH,}$container_binds_path ;;
    esac
done
unset container_binds_path
# Older pilots read the older name.
SINGULARITY_BINDPATH=$APPTAINER_BINDPATH
export APPTAINER_BINDPATH SINGULARITY_BINDPATH
