"""An executor of Snakemake for tests: each job runs in an empty folder, with the sources that Snakemake deploys there and the
files of the default storage, as it would in a pod or in another cloud's container. PODS names the folder of these
folders, beside each of which there are its log and, as JSON, the resources that its job asks for."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.settings import CommonSettings

common_settings = CommonSettings(
    non_local_exec=True,
    implies_no_shared_fs=True,
    job_deploy_sources=True,
    pass_default_storage_provider_args=True,
    pass_default_resources_args=True,
    pass_envvar_declarations_to_cmd=False,
    auto_deploy_default_storage_provider=False,
    init_seconds_before_status_checks=1,
)
"""Those of snakemake-executor-plugin-kubernetes, but that the storage's plugin is there already."""


class Executor(RemoteExecutor):
    def run_job(self, job: Any) -> None:
        folder = Path(tempfile.mkdtemp(prefix=f"{job.name}-", dir=os.environ["PODS"]))
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        # sources are deployed by whatever `python` is found first, which in an image is the one that has Snakemake
        environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
        folder.with_suffix(".json").write_text(json.dumps(dict(job.resources)))
        command = ["bash", "-c", self.format_job_exec(job)]
        with folder.with_suffix(".log").open("w") as log:
            process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)
        self.report_job_submission(SubmittedJobInfo(job, external_jobid=folder.name, aux={"process": process}))

    async def check_active_jobs(self, active_jobs: list[SubmittedJobInfo]) -> AsyncGenerator[SubmittedJobInfo, None]:
        for info in active_jobs:
            status = info.aux["process"].poll()
            if status is None:
                yield info
            elif status == 0:
                self.report_job_success(info)
            else:
                log = Path(os.environ["PODS"], f"{info.external_jobid}.log").read_text()
                self.report_job_error(info, msg=f"{info.external_jobid}: {log}")

    def cancel_jobs(self, active_jobs: list[SubmittedJobInfo]) -> None:
        for info in active_jobs:
            info.aux["process"].terminate()

    def get_python_executable(self) -> str:
        return sys.executable
