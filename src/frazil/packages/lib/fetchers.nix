{ lib }:
rec {
  proxyImpureEnvVars = [
    "http_proxy"
    "https_proxy"
    "ftp_proxy"
    "all_proxy"
    "no_proxy"
    "HTTP_PROXY"
    "HTTPS_PROXY"
    "FTP_PROXY"
    "ALL_PROXY"
    "NO_PROXY"
    "NIX_SSL_CERT_FILE"
  ];
  # `hash`, or one of `sha256`, `sha512`, … as `outputHash` and `outputHashAlgo`.
  normalizeHash =
    {
      hashTypes ? [ "sha256" ],
      required ? true,
    }:
    args:
    let
      names = [ "hash" ] ++ hashTypes;
      given = builtins.filter (name: args ? ${name} && args.${name} != null && args.${name} != "") names;
      name = builtins.head given;
      empty = builtins.filter (name: args.${name} or null == "") names;
      rest = removeAttrs args names;
    in
    if args ? outputHash then
      rest
    else if builtins.length given > 1 then
      throw "fetcher called with more than one hash: ${lib.concatStringsSep ", " given}"
    else if given != [ ] then
      rest
      // {
        outputHash = args.${name};
        outputHashAlgo = if name == "hash" then null else name;
      }
    else if empty != [ ] then
      rest
      // {
        outputHash = { hash = lib.fakeHash; sha256 = lib.fakeSha256; sha512 = lib.fakeSha512; }.${builtins.head empty} or lib.fakeHash;
        outputHashAlgo = if builtins.head empty == "hash" then null else builtins.head empty;
      }
    else if required then
      throw "fetcher called without `hash`"
    else
      rest;
  withNormalizedHash =
    {
      hashTypes ? [ "sha256" ],
    }:
    f: lib.setFunctionArgs (args: f (normalizeHash { inherit hashTypes; } args)) (
      let
        wanted = lib.functionArgs f;
      in
      # Callers give `hash` where the function takes `outputHash`.
      removeAttrs wanted [ "outputHash" "outputHashAlgo" ] // { hash = wanted.outputHash; }
    );
}
