# nixpkgs' name of a Python module → Debian's package.
builtins.listToAttrs (
  map
    (name: {
      inherit name;
      value = "python3-${name}";
    })
    [
      "aiohttp"
      "authlib"
      "babel"
      "backoff"
      "boto3"
      "build"
      "celery"
      "certifi"
      "cffi"
      "click"
      "colorama"
      "coverage"
      "cryptography"
      "debugpy"
      "dill"
      "django"
      "docutils"
      "fastapi"
      "filelock"
      "flake8"
      "flask"
      "gunicorn"
      "hatchling"
      "html5lib"
      "httpx"
      "hypothesis"
      "idna"
      "installer"
      "ipdb"
      "ipython"
      "isort"
      "jinja2"
      "jsonschema"
      "lxml"
      "mako"
      "markdown"
      "markupsafe"
      "marshmallow"
      "matplotlib"
      "more-itertools"
      "mypy"
      "networkx"
      "numpy"
      "packaging"
      "pandas"
      "passlib"
      "pexpect"
      "pip"
      "platformdirs"
      "pluggy"
      "poetry-core"
      "psutil"
      "psycopg2"
      "pudb"
      "pycparser"
      "pydantic"
      "pyflakes"
      "pygments"
      "pymongo"
      "pyparsing"
      "pyproject-hooks"
      "pytest"
      "pytest-asyncio"
      "pytest-mock"
      "redis"
      "requests"
      "rich"
      "scipy"
      "setuptools"
      "six"
      "sphinx"
      "sqlalchemy"
      "starlette"
      "sympy"
      "tabulate"
      "termcolor"
      "toml"
      "tomli"
      "tomli-w"
      "tornado"
      "tqdm"
      "typer"
      "urllib3"
      "uvicorn"
      "virtualenv"
      "websockets"
      "werkzeug"
      "wheel"
      "xmltodict"
      "zipp"
    ]
)
// {
  attrs = "python3-attr";
  gitpython = "python3-git";
  markdown-it-py = "python3-markdown-it";
  pillow = "python3-pil";
  protobuf = "python3-protobuf";
  scikit-learn = "python3-sklearn";
  beautifulsoup4 = "python3-bs4";
  pyyaml = "python3-yaml";
  python-dateutil = "python3-dateutil";
  pytz = "python3-tz";
  typing-extensions = "python3-typing-extensions";
  python-dotenv = "python3-dotenv";
  pytest-xdist = "python3-pytest-xdist";
  pytest-cov = "python3-pytest-cov";
  prompt-toolkit = "python3-prompt-toolkit";
}
