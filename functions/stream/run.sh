#!/bin/sh
# The web server of this function. On Lambda the Web Adapter starts it and passes requests on to it;
# locally the gateway does.
cd "$(dirname "$0")" || exit

# Lambda's own runtime would find the layers and boto3; this is another program.
PYTHONPATH="${PYTHONPATH:+$PYTHONPATH:}/opt/python${LAMBDA_RUNTIME_DIR:+:$LAMBDA_RUNTIME_DIR}"
export PYTHONPATH

# Whoever stops it gives it a moment only, which the turns that run need: after a second at most they
# are let go of. Connections outlast the adapter's, so that it never sends a request into one that is
# just being closed.
exec python -m uvicorn app:app --host 127.0.0.1 --port "${AWS_LWA_PORT:-8080}" \
    --workers 1 --lifespan on --ws none --no-proxy-headers --no-server-header \
    --no-access-log --log-level warning \
    --timeout-graceful-shutdown 1 --timeout-keep-alive 65
