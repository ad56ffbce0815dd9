#!/usr/bin/env bash
# uv of .tools, with the package index and the certificates that pip is configured to use:
# uv reads only its own settings, and who has set a mirror for pip means it for every installer.
set -euo pipefail

tools="$(cd "$(dirname "$0")/.." && pwd)/.tools/bin"

# Of the environment, the install command's own section and the general one: the first that has it.
pip_setting() {
    local settings section value
    settings="$("$tools/python" -m pip config list)"
    for section in :env: install global; do
        value="$(sed -n "s/^$section\.$1='\(.*\)'\$/\1/p" <<<"$settings")"
        [ -z "$value" ] || { echo "$value"; return; }
    done
}

uv_has_settings() {
    [ -n "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}${UV_CONFIG_FILE:-}" ] ||
        [ -e "${XDG_CONFIG_HOME:-$HOME/.config}/uv/uv.toml" ] || [ -e /etc/uv/uv.toml ]
}

if ! uv_has_settings; then
    index="$(pip_setting index-url)"
    [ -z "$index" ] || export UV_DEFAULT_INDEX="$index"
fi
if [ -z "${SSL_CERT_FILE:-}" ]; then
    certificates="$(pip_setting cert)"
    [ -z "$certificates" ] || export SSL_CERT_FILE="$certificates"
fi

exec "$tools/uv" "$@"
