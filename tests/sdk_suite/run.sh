#!/usr/bin/env bash
# Runs the SDK's own session tests against Parley's session, on both stores.
# Their source distribution is downloaded, its hash checked; nothing of it is kept.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=$(cd "$here/../.." && pwd)/.venv/bin/python
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m pip download --quiet --no-deps --no-binary :all: --require-hashes \
    --requirement "$here/requirements.txt" --dest "$work"
tar -xzf "$work"/openai_agents-*.tar.gz -C "$work" --strip-components 1
cd "$work"
export AWS_DEFAULT_REGION=eu-west-1 AWS_ACCESS_KEY_ID=testing AWS_SECRET_ACCESS_KEY=testing
for store in sqlite dynamodb; do
    echo "Parley's session on $store:"
    PARLEY_STORE=$store PYTHONPATH=$here "$python" -m pytest -q -p parley_sessions \
        -p no:cacheprovider -c /dev/null --rootdir . --asyncio-mode auto --timeout 60 \
        -o asyncio_default_fixture_loop_scope=function \
        tests/memory/test_session.py tests/memory/test_session_limit.py
done
