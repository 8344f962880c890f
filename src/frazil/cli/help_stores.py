"""`help-stores`: what a store's address may be. The text is that of the reference page, too."""

from __future__ import annotations

PAGE = """\
# Store addresses

Where a store is named (`--store`, `copy --to` and `--from`, `substituters`, `NIX_REMOTE`), an address is meant:

| address | store |
|---|---|
| `auto` | the machine's own: its files, else its daemon, else one in your home folder |
| `local`, `local?root=DIRECTORY`, a path with a slash | in the file system |
| `dummy://` | nothing: paths are only computed |
| `daemon`, `unix://SOCKET` | looked after by a daemon |
| `ssh-ng://HOST`, `ssh://HOST` | on another machine |
| `file://DIRECTORY` | a binary cache in a folder |
| `http://…`, `https://…` | a binary cache behind a web server |
| `s3://BUCKET[/PREFIX]` | a binary cache in a bucket, of any server with that protocol (`pip install 'frazil[s3]'`) |
| `gs://BUCKET[/PREFIX]` | the same, at Google's |
| `az://CONTAINER[/PREFIX]?account=NAME` | the same, at Microsoft's |

Parameters follow a `?`, as in a URL: `file:///srv/cache?compression=zstd&priority=10`. A parameter that a kind of
store does not know is a warning.

## Parameters of all stores

| name | default | meaning |
|---|---|---|
| `store` | `/nix/store` | the logical store directory |
| `priority` | 0; caches: 50, or what `nix-cache-info` says | among substituters: the lower number is asked first |
| `trusted` | false | what comes from it needs no signature |
| `want-mass-query` | caches: what `nix-cache-info` says | may be asked for many paths only to see what is there |
| `path-info-cache-size` | 65536 | how many answers are kept in memory |

## Parameters of local stores

`root`, `state`, `log`, `real` (directories), `read-only`, `require-sigs`, `ignore-gc-delete-failure`.

## Parameters of binary caches

| name | default | meaning |
|---|---|---|
| `compression` | `xz` | of archives: `none`, `xz`, `zstd`, `bzip2`, `gzip`, `br`, `lz4`, `lzip`, `lzma` |
| `compression-level` | −1: the method's own | |
| `parallel-compression` | for `zstd` only | pack one archive with several threads (`xz`, `zstd`) |
| `secret-key`, `secret-keys` | – | files with keys that sign what is added; the second takes several, with commas |
| `write-nar-listing` | false | write `HASH.ls`: what is in the archive |
| `index-debug-info` | false | write `debuginfo/BUILD-ID` for separate debug information |
| `local-nar-cache` | – | a folder that keeps archives that `store ls` and `store cat` look into |

Of those behind web servers also `narinfo-compression`, `ls-compression`, `log-compression` (files are sent with
`Content-Encoding`), `tls-certificate`, `tls-private-key`, and `retry-attempts`, `retry-delay`,
`retry-delay-rate-limited`, `retry-max-delay`, which override the settings `filetransfer-retry-…`.

## Parameters of buckets

| name | of | default | meaning |
|---|---|---|---|
| `endpoint` | all | the provider's | a URL of the server |
| `region` | `s3` | `us-east-1` | |
| `addressing-style` | `s3` | `auto` | `path`: `HOST/BUCKET`; `virtual`: `BUCKET.HOST`; `auto`: that at Amazon's |
| `profile` | `s3` | `AWS_PROFILE`, `default` | a section of `~/.aws/credentials` or `~/.aws/config` |
| `scheme` | `s3` | `https` | deprecated: of an endpoint without one |
| `service-account` | `gs` | – | a file with a key |
| `account` | `az` | `AZURE_STORAGE_ACCOUNT_NAME` | the storage account |
| `storage-class` | all | the bucket's | of what is uploaded |
| `multipart-upload` | all | true | large files go in several parts |
| `multipart-threshold` | all | 100 MiB | what is large; smaller files are held in memory |
| `multipart-chunk-size` | all | 5 MiB | of a part, at least; more where there would be over 10,000 parts |

And `narinfo-compression`, `ls-compression`, `log-compression`.

Requests are signed with what is found first:

- `s3`: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`; the profile (one with a role or single
  sign-on needs `pip install botocore`); the machine's or the container's role;
- `gs`: `service-account`; `GOOGLE_APPLICATION_CREDENTIALS`; what `gcloud auth application-default login` left; the
  machine's account;
- `az`: `AZURE_STORAGE_ACCOUNT_KEY`, `AZURE_STORAGE_SAS_TOKEN`, `AZURE_CLIENT_ID` and `AZURE_CLIENT_SECRET`, the
  machine's identity.

Where there is nothing, they are not signed, as public buckets want it. `builtins.fetchurl`, `<nix/fetchurl.nix>` and
`nix-prefetch-url` take `s3://BUCKET/KEY` with the same parameters and keys, and `versionId`.

## Settings

`substituters`, `trusted-public-keys`, `require-sigs`, `substitute`, `fallback`, `max-substitution-jobs`,
`always-allow-substitutes`, `http-connections`, `connect-timeout`, `stalled-download-timeout`, `download-speed`,
`filetransfer-retry-…`, `netrc-file`, `ssl-cert-file`, `narinfo-cache-positive-ttl`, `narinfo-cache-negative-ttl`,
`narinfo-cache-meta-ttl`: see [settings](settings.md). Proxies come from `http_proxy`, `https_proxy`, `no_proxy`. What
caches said is kept in Nix's own `~/.cache/nix/binary-cache-v8.sqlite`; `--refresh` asks again.

A cache that nobody configured (the default one) and that cannot be reached is mentioned with `-v` only, and tried again
after a minute.
"""


def stores_page() -> str:
    return PAGE
