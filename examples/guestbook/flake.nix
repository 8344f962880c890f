{
  description = "A guestbook: one small web service, its check, its app and its development shell";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-25.05";

  outputs = { self, nixpkgs }:
    let
      systems = [ "x86_64-linux" "aarch64-linux" ];
      forEachSystem = f: nixpkgs.lib.genAttrs systems (system: f nixpkgs.legacyPackages.${system});
    in
    {
      packages = forEachSystem (pkgs: {
        default = pkgs.stdenvNoCC.mkDerivation {
          pname = "guestbook";
          version = "1.0.0";
          src = ./.;
          PYTHONDONTWRITEBYTECODE = 1;

          doCheck = true;
          nativeCheckInputs = [ pkgs.python3 ];
          checkPhase = ''
            runHook preCheck
            python3 -m unittest discover --start-directory tests --top-level-directory .
            runHook postCheck
          '';

          installPhase = ''
            runHook preInstall
            mkdir -p $out/lib $out/bin
            cp -r guestbook $out/lib/guestbook
            cat > $out/bin/guestbook <<END
            #!${pkgs.bash}/bin/bash
            export PYTHONPATH=$out/lib PYTHONDONTWRITEBYTECODE=1
            exec ${pkgs.python3}/bin/python3 -m guestbook "\$@"
            END
            chmod +x $out/bin/guestbook
            runHook postInstall
          '';

          meta = {
            description = "Visitors sign, everybody reads";
            mainProgram = "guestbook";
          };
        };
      });

      apps = forEachSystem (pkgs: {
        default = {
          type = "app";
          program = "${self.packages.${pkgs.system}.default}/bin/guestbook";
        };
      });

      checks = forEachSystem (pkgs: {
        # The finished program answers over loopback, inside the build sandbox.
        answers = pkgs.runCommand "guestbook-answers"
          { nativeBuildInputs = [ self.packages.${pkgs.system}.default pkgs.curl pkgs.jq ]; }
          ''
            guestbook --port 8080 --database book.sqlite &
            until curl --silent --fail http://127.0.0.1:8080/health; do sleep 0.1; done
            curl --silent --fail --data-urlencode 'name=Ada' --data-urlencode 'text=It works' \
              http://127.0.0.1:8080/entries
            curl --silent --fail http://127.0.0.1:8080/entries.json | jq --exit-status '.[0].name == "Ada"'
            touch $out
          '';
      });

      devShells = forEachSystem (pkgs: {
        default = pkgs.mkShell {
          packages = [ pkgs.python3 pkgs.curl pkgs.jq ];
          GUESTBOOK_DATABASE = "development.sqlite";
        };
      });
    };
}
