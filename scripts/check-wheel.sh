#!/usr/bin/env bash
# Build the wheel, install it into an empty environment, run it from there: what users get, not the checkout.
set -euo pipefail
cd "$(dirname "$0")/.."

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

scripts/uv.sh build -q --wheel --out-dir "$work/dist"
scripts/uv.sh venv -q --python .venv/bin/python "$work/venv"
VIRTUAL_ENV="$work/venv" scripts/uv.sh pip install -q -c requirements.lock "$work"/dist/*.whl
cd "$work"
"$work/venv/bin/dockrion" version
"$work/venv/bin/python" -c 'import dockrion, dockrion_adapters, dockrion_events; dockrion.create_app'
