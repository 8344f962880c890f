# <nix/fetchurl.nix>: a derivation that downloads a file with the builtin builder, so that it needs nothing else.
#
# The attributes decide the derivation's hash; they are the same as everywhere else.
{
  url,
  name ? baseNameOf (toString url),
  executable ? false,
  unpack ? false,
  impure ? false,
  hash ? "",
  sha512 ? "",
  sha256 ? "",
  sha1 ? "",
  md5 ? "",
  system ? "", # no longer means anything
  outputHashAlgo ? (select "").algorithm,
  outputHash ? (select "").digest,
}:
let
  # The first that is given, in this order; SHA-256 where none is.
  select =
    none:
    if hash != none then
      {
        algorithm = "";
        digest = hash;
      }
    else if sha512 != none then
      {
        algorithm = "sha512";
        digest = sha512;
      }
    else if sha1 != none then
      {
        algorithm = "sha1";
        digest = sha1;
      }
    else if md5 != none then
      {
        algorithm = "md5";
        digest = md5;
      }
    else
      {
        algorithm = "sha256";
        digest = sha256;
      };

  expectation = if impure then { __impure = true; } else { inherit outputHash outputHashAlgo; };
in
derivation (
  expectation
  // {
    system = "builtin";
    builder = "builtin:fetchurl";
    inherit
      url
      name
      unpack
      executable
      ;
    urls = [ url ];
    outputHashMode = if executable || unpack then "recursive" else "flat";
    preferLocalBuild = true;
    # Of no effect; part of the hash.
    impureEnvVars = [
      "http_proxy"
      "https_proxy"
      "ftp_proxy"
      "all_proxy"
      "no_proxy"
    ];
  }
)
