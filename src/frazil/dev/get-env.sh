# Runs in place of a derivation's builder: sets up the build environment as the builder would, then writes every bash
# variable and function as JSON to the outputs. Only bash itself may be used: no other program need be on the path.
set -e
[ ! -e "${NIX_ATTRS_SH_FILE-}" ] || source "$NIX_ATTRS_SH_FILE"

export IN_NIX_SHELL=impure
export dontAddDisableDepTrack=1

[ -z "${stdenv-}" ] || source "$stdenv/setup"

# Taken before this script defines anything of its own. What it defines has a prefix, in functions too: the value of a
# variable is read by its name, and a local one of that name would stand before it.
frazilEnvVariables=$(declare -p)
frazilEnvFunctions=$(declare -F)

frazilEnvQuote() {
    local frazilEnvQuotedText=$1
    frazilEnvQuotedText=${frazilEnvQuotedText//\\/\\\\}
    frazilEnvQuotedText=${frazilEnvQuotedText//\"/\\\"}
    frazilEnvQuotedText=${frazilEnvQuotedText//$'\n'/\\n}
    frazilEnvQuotedText=${frazilEnvQuotedText//$'\r'/\\r}
    frazilEnvQuotedText=${frazilEnvQuotedText//$'\t'/\\t}
    # Other control characters are not allowed in JSON as they are.
    local frazilEnvQuotedCode frazilEnvQuotedCharacter frazilEnvQuotedEscape
    if [[ $frazilEnvQuotedText == *[$'\x01'-$'\x1f']* ]]; then
        for frazilEnvQuotedCode in {1..31}; do
            printf -v frazilEnvQuotedEscape '\\x%02x' "$frazilEnvQuotedCode"
            printf -v frazilEnvQuotedCharacter "$frazilEnvQuotedEscape"
            printf -v frazilEnvQuotedEscape '\\u%04x' "$frazilEnvQuotedCode"
            frazilEnvQuotedText=${frazilEnvQuotedText//"$frazilEnvQuotedCharacter"/$frazilEnvQuotedEscape}
        done
    fi
    printf '"%s"' "$frazilEnvQuotedText"
}

frazilEnvFunctionsAsJson() {
    local frazilEnvLine frazilEnvName frazilEnvText frazilEnvSeparator=''
    while read -r frazilEnvLine; do
        [[ $frazilEnvLine =~ ^declare\ -f[a-z]*\ (.*) ]] || continue
        frazilEnvName=${BASH_REMATCH[1]}
        frazilEnvText=$(declare -f "$frazilEnvName")
        # The text between the outermost braces; what follows them (a redirection) belongs to the body's list too.
        [[ $frazilEnvText =~ ^[^{]*\{(.*)\}[^}]*$ ]] || continue
        printf '%s' "$frazilEnvSeparator"
        frazilEnvQuote "$frazilEnvName"
        printf ': '
        frazilEnvQuote "${BASH_REMATCH[1]}"
        frazilEnvSeparator=$',\n    '
    done <<<"$frazilEnvFunctions"
}

frazilEnvVariable() {
    local frazilEnvFlags=$1 frazilEnvName=$2 frazilEnvSeparator='' frazilEnvItem
    case $frazilEnvFlags in
    *A*)
        local -n frazilEnvTable=$frazilEnvName
        printf '{"type": "associative", "value": {'
        for frazilEnvItem in "${!frazilEnvTable[@]}"; do
            printf '%s' "$frazilEnvSeparator"
            frazilEnvQuote "$frazilEnvItem"
            printf ': '
            frazilEnvQuote "${frazilEnvTable[$frazilEnvItem]}"
            frazilEnvSeparator=', '
        done
        printf '}}'
        ;;
    *a*)
        local -n frazilEnvList=$frazilEnvName
        printf '{"type": "array", "value": ['
        for frazilEnvItem in "${frazilEnvList[@]}"; do
            printf '%s' "$frazilEnvSeparator"
            frazilEnvQuote "$frazilEnvItem"
            frazilEnvSeparator=', '
        done
        printf ']}'
        ;;
    *)
        if [[ $frazilEnvFlags == *x* ]]; then printf '{"type": "exported", "value": '; else printf '{"type": "var", "value": '; fi
        frazilEnvQuote "${!frazilEnvName}"
        printf '}'
        ;;
    esac
}

frazilEnvVariablesAsJson() {
    local frazilEnvLine frazilEnvFlags frazilEnvName frazilEnvSeparator=''
    while read -r frazilEnvLine; do
        [[ $frazilEnvLine =~ ^declare\ -([^\ ]+)\ ([A-Za-z_][A-Za-z0-9_]*)(=|$) ]] || continue
        frazilEnvFlags=${BASH_REMATCH[1]} frazilEnvName=${BASH_REMATCH[2]}
        # Name references and read-only variables cannot be set again in another shell.
        [[ $frazilEnvFlags != *[nr]* ]] || continue
        case $frazilEnvName in
        BASH_* | BASHPID | COMP_* | frazilEnv* | _ | DIRSTACK | EUID | FUNCNAME | GROUPS | HISTCMD | HOSTNAME | PIPESTATUS | OPTIND | PWD | \
            RANDOM | SHLVL | SECONDS | SRANDOM | EPOCHREALTIME | EPOCHSECONDS) continue ;;
        esac
        printf '%s' "$frazilEnvSeparator"
        frazilEnvQuote "$frazilEnvName"
        printf ': '
        frazilEnvVariable "$frazilEnvFlags" "$frazilEnvName"
        frazilEnvSeparator=$',\n    '
    done <<<"$frazilEnvVariables"
}

frazilEnvAsJson() {
    printf '{\n  "bashFunctions": {\n    '
    frazilEnvFunctionsAsJson
    printf '\n  },\n  "variables": {\n    '
    frazilEnvVariablesAsJson
    printf '\n  }'
    if [ -e "${NIX_ATTRS_SH_FILE-}" ]; then
        printf ',\n  "structuredAttrs": {\n    ".attrs.sh": '
        frazilEnvQuote "$(<"$NIX_ATTRS_SH_FILE")"
        printf ',\n    ".attrs.json": '
        frazilEnvQuote "$(<"$NIX_ATTRS_JSON_FILE")"
        printf '\n  }'
    fi
    printf '\n}\n'
}

# With structured attributes `outputs` is a table from name to path, else a list of names.
frazilEnvPaths=()
if [ -e "${NIX_ATTRS_SH_FILE-}" ]; then
    frazilEnvPaths=("${outputs[@]}")
else
    for frazilEnvName in $outputs; do frazilEnvPaths+=("${!frazilEnvName}"); done
fi
for frazilEnvIndex in "${!frazilEnvPaths[@]}"; do
    if [ "$frazilEnvIndex" = 0 ]; then frazilEnvAsJson >"${frazilEnvPaths[0]}"; else : >"${frazilEnvPaths[$frazilEnvIndex]}"; fi
done
