"""The names that a function has on Lambda, as far as there are any on a laptop."""

from __future__ import annotations

import uuid

from parley_local.template import Function

REGION = "us-east-1"
ACCOUNT = "123456789012"


def function_arn(name: str) -> str:
    """Return the ARN by which the function is invoked."""
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"


def lambda_variables(function: Function) -> dict[str, str]:
    """Return the environment variables that Lambda itself sets for a new process."""
    return {
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": f"local/[$LATEST]{uuid.uuid4().hex}",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        # No metadata service here: without this, a stray AWS call waits for it for seconds.
        "AWS_EC2_METADATA_DISABLED": "true",
        "LAMBDA_TASK_ROOT": str(function.folder),
        "PYTHONUNBUFFERED": "1",
        "TZ": ":UTC",
    }
