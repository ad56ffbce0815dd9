"""The nginx that stands before several replicas on one machine, and lets streams through as they are sent."""

from __future__ import annotations

from typing import Final

from dockrion.build.manifests.plan import Plan

# Docker's own name server. Names are looked up anew, so replicas that come later get calls, too.
_RESOLVER: Final = "127.0.0.11 valid=5s"
_TEMPLATE: Final = """\
pid /tmp/nginx.pid;
worker_processes auto;
events {{ worker_connections 8192; }}
http {{
  resolver {resolver};
  access_log off;
  client_body_temp_path /tmp/body;
  proxy_temp_path /tmp/proxy;
  fastcgi_temp_path /tmp/fastcgi;
  uwsgi_temp_path /tmp/uwsgi;
  scgi_temp_path /tmp/scgi;
  map $http_upgrade $upgrading {{ default upgrade; '' ''; }}
  map $http_x_forwarded_proto $outer_scheme {{ default $http_x_forwarded_proto; '' $scheme; }}
  server {{
    listen {port};
    client_max_body_size {body_bytes};
    location / {{
      set $agent agent:{agent_port};
      proxy_pass http://$agent;
      proxy_http_version 1.1;
      proxy_buffering off;
      proxy_request_buffering off;
      proxy_read_timeout {seconds}s;
      proxy_send_timeout {seconds}s;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $outer_scheme;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $upgrading;
    }}
  }}
}}
"""


def configuration_of(plan: Plan, port: int, *, resolver: str = _RESOLVER) -> str:
    """Return an nginx.conf in which nothing but numbers is the agent's."""
    return _TEMPLATE.format(
        resolver=resolver,
        port=port,
        body_bytes=int(plan.spec.expose.limits.max_body_bytes),
        agent_port=int(plan.spec.expose.port),
        seconds=int(plan.silent_seconds),
    )
