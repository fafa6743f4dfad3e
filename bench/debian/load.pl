#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# The load of bench/run's Debian guest, which its kernel's command line names: bench.load=redis|postgres|idle
# bench.rate=RATE. Fills what there is to fill, says on the console that it is ready and with what, and works from
# then on. Needs only perl-base.
#
# Redis: records as an application keeps them (text, identifiers, numbers, one in eight an image,
# so not compressible), never the same twice. RATE is how many are overwritten a second, and as many
# are read; the key bench:rate changes it, bench:done counts.
use strict;
use warnings;
use IO::Socket::INET;
use Time::HiRes qw(time sleep);

my %told;
open(my $line, '<', '/proc/cmdline') or die;
/^bench\.(\w+)=(.*)/ and $told{$1} = $2 for split ' ', <$line>;
my ($load, $rate) = @told{'load', 'rate'};
my $RECORDS = 64000;

sub ready {
    open(my $console, '>', '/dev/console') or die;
    print $console "bench: ready $load\n";
}

# All of the system, read once: what a machine has in its page cache that is up for a while.
sub warm_cache {
    system('find /usr /var/lib -xdev -type f -print0 | xargs -0 cat > /dev/null 2>&1');
}

sub slurp_texts {
    my $all = '';
    for my $file (glob('/usr/lib/x86_64-linux-gnu/perl-base/*.p[ml] /usr/share/common-licenses/*'
                       . ' /usr/share/postgresql/*/*.sql')) {
        next unless -f $file && open(my $in, '<', $file);
        local $/;
        $all .= <$in>;
        last if length($all) > 4_000_000;
    }
    return $all;
}

sub random_bytes {
    my ($n) = @_;
    return pack('L*', map { int(rand(4294967296)) } 1 .. $n / 4);
}

my $texts;

sub record {
    my ($number) = @_;
    return random_bytes(1536) if $number % 8 == 0;
    my $size = 300 + int(rand(2400));
    my $text = substr($texts, int(rand(length($texts) - $size)), $size);
    return sprintf('{"id":%d,"version":%d,"session":"%08x%08x","when":%.6f,"score":%d,"text":"%s"}',
                   $number, int(rand(1000)), int(rand(4294967296)), int(rand(4294967296)), time(),
                   int(rand(100000)), $text);
}

sub command { # in Redis's protocol
    return '*' . @_ . "\r\n" . join('', map { '$' . length($_) . "\r\n$_\r\n" } @_);
}

sub ask {
    my ($redis, $answers, $commands) = @_;
    my @found;
    print $redis $commands;
    $redis->flush();
    for (1 .. $answers) {
        my $line = <$redis> // die 'redis has gone';
        if ($line =~ /^\$(\d+)/) {
            read($redis, my $value, $1 + 2);
            push @found, substr($value, 0, $1);
        } else {
            push @found, undef;
        }
    }
    return @found;
}

sub redis {
    my $redis;
    for (1 .. 600) {
        last if $redis = IO::Socket::INET->new(PeerAddr => '127.0.0.1:6379');
        sleep(0.1);
    }
    die 'no redis' unless $redis;
    binmode($redis);
    $texts = slurp_texts();
    for (my $i = 0; $i < $RECORDS; $i += 500) {
        ask($redis, 500, join('', map { command('SET', "record:$_", record($_)) } $i .. $i + 499));
    }
    ask($redis, 1, command('SET', 'bench:rate', $rate));
    ready();
    my ($done, $due, $last) = (0, 0, time());
    while (1) {
        my $now = time();
        $due += ($now - $last) * $rate;
        $due = $rate if $due > $rate; # what could not be done in a second is not owed
        $last = $now;
        my $n = int($due) > 50 ? 50 : int($due);
        $due -= $n;
        my $commands = command('GET', 'bench:rate') . command('SET', 'bench:done', $done += $n);
        for (1 .. $n) {
            my $number = int(rand($RECORDS));
            $commands .= command('SET', "record:$number", record($number));
            $commands .= command('STRLEN', 'record:' . int(rand($RECORDS)));
        }
        my ($wanted) = ask($redis, 2 + 2 * $n, $commands);
        $rate = $wanted if defined $wanted;
        sleep(0.05) if $due < 50;
    }
}

sub postgres {
    for (1 .. 600) {
        last if system('runuser -u postgres -- psql -q -c "select 1" bench > /dev/null 2>&1') == 0;
        sleep(0.2);
    }
    system('runuser -u postgres -- psql -q -c "select sum(abalance) from pgbench_accounts" bench'
           . ' > /dev/null 2>&1');
    ready();
    exec(qw(runuser -u postgres -- pgbench -n -c 2 -T 1000000 -R), $rate, 'bench');
}

warm_cache();
if ($load eq 'redis') {
    redis();
} elsif ($load eq 'postgres') {
    postgres();
} elsif ($load eq 'idle') {
    ready();
    sleep(1000000) while 1;
} else {
    die "there is no load $load";
}
