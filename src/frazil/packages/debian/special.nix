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
      # The loader looks nowhere but in RUNPATHs: places of the same length that do not exist.
      substitutions = [
        {
          files = [ "lib/${platform.loader}" ];
          old = "/etc/ld.so.cache";
          new = "/nix/no.so.cache";
          binary = true;
        }
        {
          files = [ "lib/${platform.loader}" ];
          old = "/etc/ld.so.preload";
          new = "/nix/no.so.preload";
          binary = true;
        }
        {
          files = [ "lib/${platform.loader}" ];
          old = "/usr/lib/${platform.triplet}/";
          new = "/nix/lib/${platform.triplet}/";
          binary = true;
        }
        {
          files = [ "lib/${platform.loader}" ];
          old = "/lib/${platform.triplet}/";
          new = "/nix/${platform.triplet}/";
          binary = true;
        }
      ];
    };
  };
}
