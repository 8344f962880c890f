# Licences by nixpkgs' attribute names; texts of names are SPDX's.
{ lib }:
let
  make =
    shortName:
    {
      id ? null,
      name ? id,
      url ? null,
      free ? true,
    }:
    {
      inherit shortName free;
      deprecated = false;
      fullName = if name == null then shortName else name;
      redistributable = free;
    }
    // lib.optionalAttrs (id != null) {
      spdxId = id;
      url = "https://spdx.org/licenses/${id}.html";
    }
    // lib.optionalAttrs (url != null) { inherit url; };
  spdx = id: name: { inherit id name; };
in
builtins.mapAttrs make {
  afl20 = spdx "AFL-2.0" "Academic Free License v2.0";
  agpl3Only = spdx "AGPL-3.0-only" "GNU Affero General Public License v3.0 only";
  agpl3Plus = spdx "AGPL-3.0-or-later" "GNU Affero General Public License v3.0 or later";
  apsl20 = spdx "APSL-2.0" "Apple Public Source License 2.0";
  artistic1 = spdx "Artistic-1.0" "Artistic License 1.0";
  artistic2 = spdx "Artistic-2.0" "Artistic License 2.0";
  asl20 = spdx "Apache-2.0" "Apache License 2.0";
  blueOak100 = spdx "BlueOak-1.0.0" "Blue Oak Model License 1.0.0";
  boost = spdx "BSL-1.0" "Boost Software License 1.0";
  bsd0 = spdx "0BSD" "BSD Zero Clause License";
  bsd1 = spdx "BSD-1-Clause" "BSD 1-Clause License";
  bsd2 = spdx "BSD-2-Clause" ''BSD 2-clause "Simplified" License'';
  bsd3 = spdx "BSD-3-Clause" ''BSD 3-clause "New" or "Revised" License'';
  bsdOriginal = spdx "BSD-4-Clause" ''BSD 4-clause "Original" or "Old" License'';
  bzip2 = spdx "bzip2-1.0.6" "bzip2 and libbzip2 License v1.0.6";
  cc0 = spdx "CC0-1.0" "Creative Commons Zero v1.0 Universal";
  cc-by-30 = spdx "CC-BY-3.0" "Creative Commons Attribution 3.0";
  cc-by-40 = spdx "CC-BY-4.0" "Creative Commons Attribution 4.0";
  cc-by-sa-30 = spdx "CC-BY-SA-3.0" "Creative Commons Attribution Share Alike 3.0";
  cc-by-sa-40 = spdx "CC-BY-SA-4.0" "Creative Commons Attribution Share Alike 4.0";
  cddl = spdx "CDDL-1.0" "Common Development and Distribution License 1.0";
  curl = spdx "curl" "curl License";
  eupl12 = spdx "EUPL-1.2" "European Union Public License 1.2";
  epl10 = spdx "EPL-1.0" "Eclipse Public License 1.0";
  epl20 = spdx "EPL-2.0" "Eclipse Public License 2.0";
  fdl13Plus = spdx "GFDL-1.3-or-later" "GNU Free Documentation License v1.3 or later";
  free = { name = "Unspecified free software license"; };
  gpl1Only = spdx "GPL-1.0-only" "GNU General Public License v1.0 only";
  gpl1Plus = spdx "GPL-1.0-or-later" "GNU General Public License v1.0 or later";
  gpl2 = spdx "GPL-2.0" "GNU General Public License v2.0";
  gpl2Only = spdx "GPL-2.0-only" "GNU General Public License v2.0 only";
  gpl2Plus = spdx "GPL-2.0-or-later" "GNU General Public License v2.0 or later";
  gpl3 = spdx "GPL-3.0" "GNU General Public License v3.0";
  gpl3Only = spdx "GPL-3.0-only" "GNU General Public License v3.0 only";
  gpl3Plus = spdx "GPL-3.0-or-later" "GNU General Public License v3.0 or later";
  hpnd = spdx "HPND" "Historical Permission Notice and Disclaimer";
  icu = spdx "ICU" "ICU";
  ijg = spdx "IJG" "Independent JPEG Group License";
  isc = spdx "ISC" "Internet Systems Consortium License";
  lgpl2Only = spdx "LGPL-2.0-only" "GNU Library General Public License v2 only";
  lgpl2Plus = spdx "LGPL-2.0-or-later" "GNU Library General Public License v2 or later";
  lgpl21Only = spdx "LGPL-2.1-only" "GNU Lesser General Public License v2.1 only";
  lgpl21Plus = spdx "LGPL-2.1-or-later" "GNU Lesser General Public License v2.1 or later";
  lgpl3Only = spdx "LGPL-3.0-only" "GNU Lesser General Public License v3.0 only";
  lgpl3Plus = spdx "LGPL-3.0-or-later" "GNU Lesser General Public License v3.0 or later";
  libpng = spdx "Libpng" "libpng License";
  lppl13c = spdx "LPPL-1.3c" "LaTeX Project Public License v1.3c";
  mit = spdx "MIT" "MIT License";
  mit0 = spdx "MIT-0" "MIT No Attribution";
  mpl11 = spdx "MPL-1.1" "Mozilla Public License 1.1";
  mpl20 = spdx "MPL-2.0" "Mozilla Public License 2.0";
  ncsa = spdx "NCSA" "University of Illinois/NCSA Open Source License";
  ofl = spdx "OFL-1.1" "SIL Open Font License 1.1";
  openldap = spdx "OLDAP-2.8" "Open LDAP Public License v2.8";
  openssl = spdx "OpenSSL" "OpenSSL License";
  php301 = spdx "PHP-3.01" "PHP License v3.01";
  postgresql = spdx "PostgreSQL" "PostgreSQL License";
  psfl = spdx "Python-2.0" "Python Software Foundation License version 2";
  publicDomain = { name = "Public Domain"; };
  ruby = spdx "Ruby" "Ruby License";
  sleepycat = spdx "Sleepycat" "Sleepycat License";
  tcltk = spdx "TCL" "TCL/TK License";
  unfree = { name = "Unfree"; free = false; };
  unfreeRedistributable = { name = "Unfree redistributable"; free = false; };
  unicode-dfs-2016 = spdx "Unicode-DFS-2016" "Unicode License Agreement - Data Files and Software (2016)";
  unlicense = spdx "Unlicense" "The Unlicense";
  upl = spdx "UPL-1.0" "Universal Permissive License v1.0";
  vim = spdx "Vim" "Vim License";
  wtfpl = spdx "WTFPL" "Do What The F*ck You Want To Public License";
  x11 = spdx "X11" "X11 License";
  zlib = spdx "Zlib" "zlib License";
  zpl21 = spdx "ZPL-2.1" "Zope Public License 2.1";
}
