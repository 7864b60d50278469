"""The console on real terminals: a pseudo-terminal read by the byte, tmux, and a login over sshd."""
