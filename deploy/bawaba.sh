#!/bin/sh
# The command `bawaba` of this machine's installation, with its settings.
: "${BAWABA_CONFIG=/etc/bawaba/bawaba.toml}"
export BAWABA_CONFIG
if [ -e "$BAWABA_CONFIG" ] && [ ! -r "$BAWABA_CONFIG" ]; then
    case " $* " in
    *" --help "* | *" --version "*) unset BAWABA_CONFIG ;;
    *)
        echo "You may not read $BAWABA_CONFIG. As root: sudo bawaba $*" >&2
        exit 2
        ;;
    esac
fi
exec /opt/bawaba/current/bin/bawaba "$@"
