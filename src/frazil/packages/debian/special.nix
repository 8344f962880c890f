# What the index does not say about single units: links made by maintainer scripts, places compiled into programs.
{
  platform,
  index,
  unitPackage,
  unitMembers,
  upstreamVersion,
}:
{
  "@glibc" = {
    pname = "glibc";
    versionOf = "libc6";
    plan = {
      unpatched = [ "lib/${platform.loader}" ];
      exclude = [ "lib/ld.so" ];
      links = {
        "lib64" = "lib";
      };
      loader = "lib/${platform.loader}";
    };
  };
}
