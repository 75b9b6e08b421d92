# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The wgtools authors

# What TAB offers behind wg(8), in fish.

# __wg_set prints what may follow "wg set INTERFACE".
function __wg_set --argument-names interface
    set -l words $argv[2..]
    set -l of interface
    set -l peers
    set -l used
    while set -q words[1]
        set -l word $words[1]
        set -e words[1]
        if test $word = remove
            set -a used remove
            continue
        end
        if not set -q words[1]
            switch $word
                case peer
                    for peer in (command wg show $interface peers 2>/dev/null)
                        contains -- $peer $peers; or echo $peer
                    end
                    return
                case private-key preshared-key
                    echo FILE
                    return
                case fwmark persistent-keepalive
                    echo off
                    return
                case listen-port endpoint allowed-ips
                    return
            end
        end
        if test $word = peer
            set of peer
            set used
            set -a peers $words[1]
        else
            set -a used $word
        end
        set -e words[1]
    end
    set -l left listen-port\t'a port' fwmark\t'a number, or off' private-key\t'a file with the key'
    if test $of = peer
        set left remove\t'takes the peer off' preshared-key\t'a file with the key' endpoint\tHOST:PORT \
            persistent-keepalive\t'seconds, or off' allowed-ips\t'a list of [+|-]IP/CIDR'
    end
    for setting in $left
        contains -- (string split -f 1 \t $setting) $used; or echo $setting
    end
    echo peer\t'a public key: the peer that what follows is for'
end

# __wg_show prints what may follow "wg show".
function __wg_show
    set -l arguments
    set -l given
    for word in $argv
        switch $word
            case '--*'
                set -a given (string replace -r '=.*' '' -- $word)
            case '*'
                set -a arguments $word
        end
    end
    switch (count $arguments)
        case 0
            command wg show interfaces 2>/dev/null | string split -n ' '
            echo all\t'all interfaces'
            set -q given[1]; or echo interfaces\t'only their names'
        case 1
            test $arguments[1] = interfaces; and return
            set -q given[1]; or printf '%s\n' public-key private-key listen-port fwmark peers preshared-keys endpoints \
                allowed-ips latest-handshakes transfer persistent-keepalive dump
        case '*'
            return
    end
    for option in --json\t'a document for programs' --names\t'names from comments in /etc/wireguard' \
            --show-keys\t'private and preshared keys too' --watch\t'again and again, with rates'
        contains -- (string split -f 1 \t -- $option) $given; or echo $option
    end
end

# __wg_words prints what may follow the words that are there; FILE is any file.
function __wg_words
    set -l words (commandline -opc)
    if not set -q words[2]
        printf '%s\n' show\t'shows devices: configuration, peers, handshakes, transfer' \
            showconf\t'shows a device as a file that setconf takes' \
            set\t'changes a device, or some of its peers' \
            setconf\t'makes a device equal to a file' \
            addconf\t'adds what is in a file to a device' \
            syncconf\t'makes a device equal to a file, unchanged peers undisturbed' \
            genkey\t'prints a new private key' \
            genpsk\t'prints a new preshared key' \
            pubkey\t'reads a private key and prints its public key' \
            help\t'lists the subcommands' \
            version\t'prints the version'
        return
    end
    switch $words[2]
        case show
            __wg_show $words[3..]
        case showconf set setconf addconf syncconf
            if not set -q words[3]
                command wg show interfaces 2>/dev/null | string split -n ' '
            else if test $words[2] = set
                __wg_set $words[3..]
            else if test $words[2] != showconf; and not set -q words[4]
                echo FILE
            end
    end
end

function __wg_wants_file
    contains FILE (__wg_words)
end

complete -c wg -f
complete -c wg -n 'not __wg_wants_file' -a '(__wg_words)'
complete -c wg -n __wg_wants_file -F
