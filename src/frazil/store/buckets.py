"""Buckets of Amazon, Google and Microsoft, and of servers that speak as theirs do, opened with the library `obstore`.

In: addresses, settings, the environment. Out: the library's stores. It comes with `frazil[s3]`. Credentials are those
of each provider's own programs; where there are none, requests are not signed, as public buckets want it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from frazil.errors import UsageError
from frazil.store.address import Parameters, StoreReference
from frazil.store.errors import StoreError, UnsupportedStore
from frazil.store.s3_address import S3Address, find_keys

if TYPE_CHECKING:
    from frazil.store.config import TransferSettings

_MAXIMUM_CERTIFICATES = 16 << 20


def library() -> Any:
    try:
        import obstore
        import obstore.exceptions
        import obstore.store
    except ImportError as error:
        raise UnsupportedStore(
            "cannot open stores in buckets: the library 'obstore' is not installed", hint="pip install 'frazil[s3]'"
        ) from error
    return obstore


def amazon(address: S3Address, transfer: TransferSettings, environment: Mapping[str, str]) -> Any:
    keys = find_keys(address.profile, environment)
    config: dict[str, Any] = {
        "region": address.region,
        "endpoint": address.base,
        "virtual_hosted_style_request": True,  # the bucket is in the address already
    }
    if keys is not None:
        config |= {"access_key_id": keys.access, "secret_access_key": keys.secret}
        if keys.token:
            config["session_token"] = keys.token
    elif not _has_role(environment):
        config["skip_signature"] = True
    return _made("S3Store", address.bucket, config, transfer)


def _has_role(environment: Mapping[str, str]) -> bool:
    names = (
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    )
    return any(environment.get(name) for name in names) or _is_machine_of("Amazon")


def google(
    reference: StoreReference, parameters: Parameters, transfer: TransferSettings, environment: Mapping[str, str]
) -> Any:
    """`gs://BUCKET[/PREFIX]?endpoint=…&service-account=FILE`."""
    bucket = _container(reference, "gs", "bucket")
    config: dict[str, Any] = {}
    endpoint, account = _endpoint(parameters), parameters.path("service-account")
    if endpoint:
        config["base_url"] = endpoint
    if account:
        config["service_account"] = account
    elif not _has_google(environment):
        config |= {"skip_signature": True, "service_account_key": _NOBODY}
    return _made("GCSStore", bucket, config, transfer)


_NOBODY = '{"disable_oauth": true, "client_email": "", "private_key": "", "private_key_id": ""}'
"""Without it the library asks the machine's provider for keys before it sends anything, whatever it is told."""


def _has_google(environment: Mapping[str, str]) -> bool:
    names = (
        "APPLICATION_CREDENTIALS",
        "SERVICE_ACCOUNT",
        "SERVICE_ACCOUNT_PATH",
        "SERVICE_ACCOUNT_KEY",
        "BEARER_TOKEN",
    )
    if any(environment.get(f"GOOGLE_{name}") for name in names) or _is_machine_of("Google"):
        return True
    home = environment.get("HOME") or os.path.expanduser("~")
    return os.path.exists(f"{home}/.config/gcloud/application_default_credentials.json")


def microsoft(
    reference: StoreReference, parameters: Parameters, transfer: TransferSettings, environment: Mapping[str, str]
) -> Any:
    """`az://CONTAINER[/PREFIX]?account=NAME&endpoint=…`."""
    container = _container(reference, "az", "container")
    account = parameters.text("account") or environment.get("AZURE_STORAGE_ACCOUNT_NAME", "")
    if not account:
        raise UsageError(
            "an az store address needs the name of a storage account",
            hint="say az://CONTAINER?account=NAME, or set AZURE_STORAGE_ACCOUNT_NAME",
        )
    config: dict[str, Any] = {"account_name": account}
    endpoint = _endpoint(parameters)
    if endpoint:
        config["endpoint"] = endpoint
    key = environment.get("AZURE_STORAGE_ACCOUNT_KEY") or environment.get("AZURE_STORAGE_ACCESS_KEY")
    if key:
        config["account_key"] = key
    elif not _has_microsoft(environment):
        config["skip_signature"] = True
    return _made("AzureStore", container, config, transfer)


def _has_microsoft(environment: Mapping[str, str]) -> bool:
    names = (*("SAS_KEY", "SAS_TOKEN", "TOKEN", "CLIENT_ID", "CLIENT_SECRET", "FEDERATED_TOKEN_FILE", "USE_AZURE_CLI"),)
    found = any(environment.get(f"AZURE_{part}{name}") for name in names for part in ("", "STORAGE_"))
    return found or bool(environment.get("IDENTITY_ENDPOINT") or environment.get("MSI_ENDPOINT"))


def _container(reference: StoreReference, scheme: str, what: str) -> str:
    name = reference.authority.partition("/")[0]
    if not name:
        raise UsageError(f"an {scheme} store address needs the name of a {what}", hint=f"say {scheme}://{what.upper()}")
    return name


def _endpoint(parameters: Parameters) -> str:
    endpoint = parameters.text("endpoint")
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise UsageError(f"the 'endpoint' '{endpoint}' is no URL of a server", hint="say https://HOST[:PORT]")
    return endpoint.rstrip("/")


def _is_machine_of(vendor: str) -> bool:
    try:
        with open("/sys/class/dmi/id/sys_vendor", encoding="ascii", errors="replace") as file:
            return vendor in file.read(100)
    except OSError:
        return False


def _made(kind: str, name: str, config: dict[str, Any], transfer: TransferSettings) -> Any:
    from datetime import timedelta

    retry = {
        "max_retries": max(0, transfer.attempts - 1),
        "retry_timeout": timedelta(minutes=5),
        "backoff": {
            "init_backoff": timedelta(milliseconds=max(1, transfer.retry_delay)),
            "max_backoff": timedelta(milliseconds=max(1, transfer.retry_max_delay)),
            "base": 2,
        },
    }
    found = library()
    try:
        return getattr(found.store, kind)(name, config=config, client_options=_client(transfer), retry_config=retry)
    except (found.exceptions.BaseError, ValueError, OSError) as error:
        reason = str(error).strip().split("\n")[0]
        raise StoreError(f"cannot open the bucket '{name}': {reason}") from error


def _client(transfer: TransferSettings) -> dict[str, Any]:
    client: dict[str, Any] = {"allow_http": True, "user_agent": f"frazil {transfer.user_agent_suffix}".strip()}
    if transfer.connect_timeout:
        client["connect_timeout"] = f"{transfer.connect_timeout} seconds"
    client["timeout"] = "30 days"  # of a whole transfer; the library's own is half a minute
    if transfer.stalled_timeout:
        client["read_timeout"] = f"{transfer.stalled_timeout} seconds"
    if transfer.ssl_cert_file:
        try:
            with open(transfer.ssl_cert_file, "rb") as file:
                client["root_certificate"] = file.read(_MAXIMUM_CERTIFICATES)
        except OSError as error:
            raise StoreError(f"cannot read certificates from '{transfer.ssl_cert_file}': {error.strerror}") from error
    return client
