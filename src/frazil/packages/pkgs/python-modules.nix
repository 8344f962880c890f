# nixpkgs' name of a Python module → Debian's package.
builtins.listToAttrs (
  map
    (name: {
      inherit name;
      value = "python3-${name}";
    })
    [
      "aiohttp"
      "babel"
      "build"
      "certifi"
      "cffi"
      "click"
      "colorama"
      "coverage"
      "cryptography"
      "django"
      "docutils"
      "fastapi"
      "flask"
      "gunicorn"
      "httpx"
      "hypothesis"
      "idna"
      "installer"
      "jinja2"
      "jsonschema"
      "lxml"
      "mako"
      "markdown"
      "markupsafe"
      "mypy"
      "numpy"
      "packaging"
      "pip"
      "pluggy"
      "psutil"
      "psycopg2"
      "pydantic"
      "pygments"
      "pyparsing"
      "pytest"
      "redis"
      "requests"
      "rich"
      "setuptools"
      "six"
      "sphinx"
      "sqlalchemy"
      "starlette"
      "tabulate"
      "toml"
      "tornado"
      "tqdm"
      "typer"
      "urllib3"
      "uvicorn"
      "virtualenv"
      "werkzeug"
      "wheel"
    ]
)
// {
  attrs = "python3-attr";
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
