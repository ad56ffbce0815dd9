"""Requirements files in every form that pip takes, and what dockrion adds to each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from dockrion.version import VERSION

# Of an agent that needs the extra `redis`.
WHOLE = f"dockrion[redis]=={VERSION}"
EXTRA = "dockrion[redis]"
NOTHING = None
DIGEST = "a" * 64


class Case(NamedTuple):
    """`added` is dockrion's own line; `uv_reads`, `pip_reads`: whether that installer takes the file at all."""

    name: str
    text: str
    added: str | None
    others: Mapping[str, str] = MappingProxyType({})
    uv_reads: bool = True
    pip_reads: bool = True


class Conflict(NamedTuple):
    name: str
    text: str
    told: tuple[str, ...]
    others: Mapping[str, str] = MappingProxyType({})


CASES = [
    Case("an empty file", "", WHOLE),
    Case("names alone", "requests\nNumPy\nruamel.yaml\n", WHOLE),
    Case("every operator", "a==1\nb>=1,<2\nc~=1.4\nd!=1.5\ne>1\nf<=3\ng===1.0\nh==1.*\n", WHOLE),
    Case("extras and spaces", "requests [socks, use-chardet] >= 2.8.1 , == 2.8.*\n", WHOLE),
    Case("parentheses", "requests (>=2.0)\n", WHOLE),
    Case("a marker", 'colorama>=0.4 ; sys_platform == "win32" and python_version < "4"\n', WHOLE),
    Case("a URL with a name", "tool @ https://example.com/tool-1.0-py3-none-any.whl\n", WHOLE),
    Case(
        "a URL, its hash and a marker",
        f'tool @ https://example.com/tool.zip#sha256={DIGEST} ; python_version > "3"\n',
        WHOLE,
    ),
    Case("a URL alone", "https://example.com/tool-1.0-py3-none-any.whl\n", WHOLE),
    Case("git with a name", "tool @ git+https://example.com/tool.git@v1#subdirectory=py\n", WHOLE),
    Case("git alone", "git+ssh://git@example.com/owner/tool.git@main#egg=tool[fast]\n", WHOLE),
    Case("an editable of git", "-e git+https://example.com/tool.git#egg=tool\n", WHOLE),
    Case(
        "a password from a variable",
        "tool @ git+https://${TOKEN}@example.com/tool.git\n--index-url https://${USER}:${PASS}@h/simple\n",
        WHOLE,
    ),
    Case("a version from a variable", "requests==${REQUESTS_VERSION}\n", WHOLE, uv_reads=False),
    Case(
        "an included file",
        "-r requirements/base.txt\nrequests\n",
        WHOLE,
        {"requirements/base.txt": "-r more.txt\nhttpx\n", "requirements/more.txt": "attrs\n"},
    ),
    Case(
        "the long and the short ways to include",
        "--requirement=a.txt\n--requirement b.txt\n",
        WHOLE,
        {"a.txt": "attrs\n", "b.txt": "rich\n"},
    ),
    Case("an include without a space", "-ra.txt\n", WHOLE, {"a.txt": "attrs\n"}, uv_reads=False),
    Case("constraints", "-c limits.txt\nrequests\n", WHOLE, {"limits.txt": "requests<3\n"}),
    Case(
        "files that include each other",
        "-r a.txt\n",
        WHOLE,
        {"a.txt": "-r requirements.txt\n"},
        pip_reads=False,
    ),
    Case(
        "an editable folder",
        "-e ./lib[fast]\n--editable=./lib\n",
        WHOLE,
        {"lib/pyproject.toml": '[project]\nname = "lib"\nversion = "1"\n'},
    ),
    Case("a wheel beside it", "./wheels/tool-1.0-py3-none-any.whl\n", WHOLE),
    Case("a wheel without a dot", "wheels/tool-1.0-py3-none-any.whl ; os_name == 'posix'\n", WHOLE),
    Case("a path from the project", "tool @ file://${PROJECT_ROOT}/tool\n", WHOLE, pip_reads=False),
    Case(
        "indexes",
        "--index-url https://example.com/simple\n--extra-index-url=https://example.org/simple\n"
        "-f ./wheels\n--find-links https://example.com/links\n--no-index\n",
        WHOLE,
    ),
    Case(
        "pip's other options",
        "--pre\n--no-binary :all:\n--only-binary=numpy\n--prefer-binary\n--trusted-host example.com\n",
        WHOLE,
    ),
    Case("options of one package", 'tool --config-settings="a=b"\n', WHOLE, uv_reads=False),
    Case(
        "comments",
        "# above\nrequests  # beside\n  # indented\n\thttpx\t#tab\n",
        WHOLE,
    ),
    Case("a line that goes on", "requests \\\n  >=2.0, \\\n  <3\n", WHOLE, uv_reads=False),
    Case("a comment that ends like one that goes on", "# see \\\nrequests\n", WHOLE),
    Case("hashes", f"requests==2.32.0 \\\n    --hash=sha256:{DIGEST}\n", WHOLE),
    Case("line ends of Windows, and no last one", "requests\r\nhttpx\r\nattrs", WHOLE),
    Case("what dockrion needs, in a version that it takes", "pydantic>=2\nredis==8.0.1\n", WHOLE),
    Case("a pin for another Python", 'pydantic==1.10 ; python_version < "3.9"\n', WHOLE),
    Case(
        "two pins of which one applies",
        'tool==1 ; sys_platform == "win32"\ntool==2 ; sys_platform == "linux"\n',
        WHOLE,
    ),
    Case("dockrion", "dockrion[redis]\n", NOTHING),
    Case("dockrion in a range", "Dockrion[REDIS] >=0.0.1 , <999\n", NOTHING),
    Case("dockrion without the extra", f"dockrion=={VERSION}\n", EXTRA),
    Case("dockrion with all extras", "dockrion[all]\n", NOTHING),
    Case("dockrion with an extra of another kind", "dockrion[jwt]\n", EXTRA),
    Case("dockrion in an included file", "-r a.txt\n", NOTHING, {"a.txt": "dockrion[redis]\n"}),
    Case("dockrion in constraints alone", "-c a.txt\n", WHOLE, {"a.txt": f"dockrion=={VERSION}\n"}),
    Case("dockrion for Windows alone", 'dockrion[redis] ; sys_platform == "win32"\n', WHOLE),
    Case("dockrion of git", "dockrion[redis] @ git+https://example.com/fork.git@main\n", NOTHING),
    Case("dockrion of git without the extra", "git+https://example.com/o/dockrion.git@v1\n", EXTRA),
    Case("dockrion as an egg", "-e git+https://example.com/x.git#egg=dockrion[redis]\n", NOTHING),
    Case(
        "dockrion as a folder",
        "-e ./fork\n",
        EXTRA,
        {"fork/pyproject.toml": '[project]\nname = "dockrion"\ndynamic = ["version"]\n'},
    ),
    Case("dockrion as a wheel", f"./wheels/dockrion-{VERSION}-py3-none-any.whl\n", EXTRA),
    Case("dockrion in a version from a variable", "dockrion==${V}\n", EXTRA, uv_reads=False),
    Case(
        "a fork that needs other versions than this one",
        "dockrion[redis] @ git+https://example.com/fork.git\nredis<5\n",
        NOTHING,
    ),
    Case(
        "everything with hashes",
        f"--require-hashes\ndockrion[redis]=={VERSION} --hash=sha256:{DIGEST}\n",
        NOTHING,
    ),
]

CONFLICTS = [
    Conflict(
        "dockrion in another version",
        "requests\n\ndockrion==0.0.9\n",
        ("dockrion: requirements.txt:3 has `dockrion==0.0.9`, but this is dockrion " + VERSION,),
    ),
    Conflict("dockrion below this one", f"dockrion<{VERSION}", (f"`dockrion<{VERSION}`",)),
    Conflict(
        "dockrion as a wheel of another version",
        "wheels/dockrion-0.0.9-py3-none-any.whl",
        ("requirements.txt:1 has `wheels/dockrion-0.0.9", "this is dockrion"),
    ),
    Conflict(
        "a core package",
        "# web\npydantic==1.10\n",
        ("pydantic: requirements.txt:2 has `pydantic==1.10`, but dockrion 0.1.0 needs pydantic>=",),
    ),
    Conflict("an upper bound", "fastapi<0.100", ("`fastapi<0.100`, but dockrion",)),
    Conflict(
        "a package of an extra",
        "redis<5\n",
        ("redis: requirements.txt:1 has `redis<5`, but dockrion[redis] 0.1.0 needs redis>=",),
    ),
    Conflict(
        "a package of an extra that only the author asks for",
        "dockrion[jwt,redis]\npyjwt==1.7\n",
        ("requirements.txt:2 has `pyjwt==1.7`, but dockrion[jwt] 0.1.0 needs pyjwt>=",),
    ),
    Conflict(
        "a wheel of a core package",
        "pydantic @ https://example.com/pydantic-1.10.2-py3-none-any.whl",
        ("requirements.txt:1 has `pydantic @ https", "needs pydantic>="),
    ),
    Conflict(
        "a pin in constraints",
        "-c limits/web.txt\n",
        ("limits/web.txt:2 has `uvicorn==0.20`",),
        {"limits/web.txt": "\nuvicorn==0.20\n"},
    ),
    Conflict(
        "a pin in an included file",
        "-r base.txt\n",
        ("base.txt:1 has `Ruamel_YAML==0.1`",),
        {"base.txt": "Ruamel_YAML==0.1\n"},
    ),
    Conflict(
        "two pins of the author's own",
        "-r base.txt\nhttpx==0.28\n",
        ("httpx: base.txt:1 has `httpx==0.27`, but requirements.txt:2 has `httpx==0.28`",),
        {"base.txt": "httpx==0.27\n"},
    ),
    Conflict(
        "a pin beside constraints",
        "-c c.txt\ntool==2\n",
        ("tool: c.txt:1 has `tool<2`, but requirements.txt:2 has `tool==2`",),
        {"c.txt": "tool<2\n"},
    ),
    Conflict(
        "two places of one package",
        "tool @ https://example.com/a.zip\n-e git+https://example.com/b.git#egg=tool\n",
        ("requirements.txt:1 has `tool @ https", "requirements.txt:2 has `-e git+https"),
    ),
    Conflict("a line that contradicts itself", "tool>2,<1", ("`tool>2,<1`",)),
    Conflict(
        "three of which any two can be met",
        "tool>=1\ntool<=1\ntool!=1\n",
        ("tool: no version is left: requirements.txt:1 has `tool>=1`, requirements.txt:2 has",),
    ),
    Conflict(
        "both at once",
        "pydantic==1.10\nredis<5\n",
        ("pydantic: ", "redis: "),
    ),
    Conflict(
        "a password is not repeated",
        "dockrion @ https://me:hush@example.com/dockrion-0.0.1-py3-none-any.whl",
        ("https://***@example.com",),
    ),
]
