-- Written by lading's role slurm_containers.
-- A batch job gets the environment of its node, as after a login there, and not that of the shell that submits it. Whoever
-- says --export gets what they say.

function slurm_cli_setup_defaults(options, early_pass)
    return slurm.SUCCESS
end

function slurm_cli_pre_submit(options, pack_offset)
    if options["type"] == "sbatch" and options["export"] == nil then
        options["export"] = "NONE"
    end
    return slurm.SUCCESS
end

function slurm_cli_post_submit(offset, job_id, step_id)
    return slurm.SUCCESS
end
