/* SPDX-License-Identifier: MIT */
/* One name, and who wants it: two processes that create (in a new file, or in place), resume, fork, hand over, close or
   die; two cleaners; a reader that asks whether the writer lives. shm/file.c (lock_dead, shm_file_publish), lib/segment.c
   (build, unlink_own), lib/restart.c, lib/discover.c (vmt_remove_dead), shm/state.c (shm_state), lib/fork.c.
   A lock belongs to an open file description (below: file), which goes with its last holder: a process, its child (from
   fork() to the end of its handler), or a message or exec on its way. Inodes are not used again while somebody has them
   open, so they are numbered as they come.
   Claims: one writer of an inode at most; one live writer under the name at most, and it is found there; nobody takes the
   name from a live writer but itself; a child's handler leaves it nothing; a reader's verdict was true at some time
   between its first and its last look (live: somebody holds the lock).
   Mutations: M_NOLOCK (dead is who says so in the header: lock_dead() takes no lock) M_NOINODE (lock_dead() does not look
   at the name once more) M_RESUMENOINODE (the same of a resumer) M_PLACENOINODE (... in place) M_GCNOLOCK M_GCNOINODE
   M_GCSHARED (cleaners do not keep each other out) M_BUSYREPLACES (a cleaner's read lock is taken for death)
   M_UNLINKANY (closing unlinks whatever has the name) M_UNLOCKFIRST (closing unlocks, then unlinks)
   M_UNLOCKEARLY (closing unlocks while threads still count into the file) M_NOSTOP (who hands
   over goes on counting) M_FORKBUSY (fork() does not wait while a segment is made or closed) M_ONELOOK (the header is
   looked at once, between two questions for the lock) M_LATELOCK (a new file gets its name, then its lock) M_ASIDEBLIND
   (what a reader keeps locked is set aside without a lock) */
#ifndef LIVES
#define LIVES 3          /* of both processes together */
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifndef GCS
#define GCS 2            /* runs of cleaners, of whom there are two */
#endif
#ifndef FORKS
#define FORKS 1
#endif
#ifndef READS
#define READS 1
#endif
#ifndef RMS
#define RMS 0
#endif
#define NI (LIVES + 3)   /* inodes 1 .. */
#define TRIES 2
#define UNBORN 0
#define OPEN 1
#define CLOSED 2
byte path;                                  /* NAME.vmt: an inode, 0 none */
byte life[NI], inc[NI], lockx[NI], lockr[NI], flocked[NI]; /* of inodes: header, who has a lock */
byte ino[7], held[7];                       /* files 1 .. 4 of segments, 5 .. 6 of lock_dead(): inode, holders */
#define P(me) (1 << me)                     /* holders: processes 0, 1; the child; what is on its way */
#define CHILD 4
#define WAY 8
byte next = 2, lives, kills, forks, gcs, rms;
byte writers[NI];                           /* who writes into it */
byte w[2], up[2];                           /* into which a process writes; of which it is the live writer under the name */
bool busy[2], dead[2];
byte way;                                   /* the file that is handed over */
byte rx, seen;                              /* the reader's inode; what was true of it since its first look */
#define TRUTH(i) (life[i] == CLOSED -> 4 : (lockx[i] -> 1 : 2))
#define NOTE(i) if :: i == rx -> seen = seen | TRUTH(i) :: else fi

/* All inside of atomic. */
inline open_file(f, i) { ino[f] = i; held[f] = P(me) }
inline stop_cleaning(x) {
  lockr[x] = lockr[x] & (15 - (4 << me));
  if :: flocked[x] == 4 << me -> flocked[x] = 0 :: else fi
}
inline let_go(f, who) {
  held[f] = held[f] & (15 - (who));
  if
  :: held[f] == 0 && ino[f] != 0 ->
     if :: lockx[ino[f]] == f -> lockx[ino[f]] = 0; NOTE(ino[f]) :: else fi;
     ino[f] = 0
  :: else
  fi
}
inline name_changes(to) { assert(path == 0 || writers[path] == 0); path = to }
inline stop_writing() { if :: w[me] -> writers[w[me]]--; w[me] = 0 :: else fi }
inline unlock(i) { if :: lockx[i] == f -> lockx[i] = 0; NOTE(i) :: else fi }
inline write_to(i) { writers[i]++; w[me] = i; assert(writers[i] == 1) }
inline come_up() { up[me] = x; assert(up[1 - me] == 0 && path == x) }
inline new_file() {
  f = 1;
  do :: held[f] -> f++ :: else -> break od;
  assert(f <= 4)
}

proctype Process(byte me) { byte x, f, old, t; bool unlinks;
end_again:
  {
    atomic { lives < LIVES -> lives++; busy[me] = true };
    if
    :: goto create
    :: goto resume
    :: goto place
    :: atomic { way -> f = way; x = ino[f]; way = 0; held[f] = (held[f] & (15 - WAY)) | P(me) }; goto given
    fi;

    /* vmt_segment_create(): build(), name_file() */
create:
    atomic { if :: next == NI -> goto leave :: else fi;
      new_file(); x = next; next++; open_file(f, x);
#ifndef M_LATELOCK
      lockx[x] = f;
#endif
      write_to(x); life[x] = OPEN; inc[x] = 1; unlinks = true; t = 0 };
    do
    :: atomic { t == TRIES -> writers[w[me]]--; w[me] = 0; goto leave }
    :: t < TRIES ->
       t++;
       if
       :: atomic { path == 0 ->                    /* renameat2(RENAME_NOREPLACE) */
#ifdef M_LATELOCK
            path = x };
          atomic { lockx[x] = f;
#else
            name_changes(x);
#endif
            come_up() }; goto live
       :: path != 0 ->
          /* lock_dead() */
          atomic { if :: path == 0 -> goto once_more :: else -> old = path; open_file(5 + me, old) fi };
#ifdef M_NOLOCK
          atomic { if :: lockx[old] -> goto taken :: else fi };
#else
          if
          :: atomic { lockx[old] == 0 && lockr[old] == 0 -> lockx[old] = 5 + me; NOTE(old) }
          :: else ->
#ifdef M_BUSYREPLACES
             if :: lockx[old] -> goto taken :: else fi
#else
             if :: lockx[old] -> goto taken :: else -> goto once_more fi /* shm_locked() */
#endif
          fi;
#endif
#ifndef M_NOINODE
          if :: path != old -> goto once_more :: else fi;
#endif
          atomic { name_changes(x); come_up() };   /* renameat() */
          atomic { let_go(5 + me, P(me)); old = 0 };
          goto live
       fi;
once_more:
       atomic { if :: old -> let_go(5 + me, P(me)); old = 0 :: else fi }
    od;
taken:
    atomic { let_go(5 + me, P(me)); old = 0; writers[w[me]]--; w[me] = 0; goto leave };

    /* .resume, by name */
resume:
    t = 0;
    do
    :: t == TRIES -> goto leave
    :: t < TRIES ->
       t++;
       atomic { if :: path == 0 -> goto create :: else -> x = path; new_file(); open_file(f, x) fi };
       if
       :: atomic { lockx[x] == 0 && lockr[x] == 0 -> lockx[x] = f; NOTE(x) }
       :: lockx[x] -> goto not_now
       :: lockr[x] -> goto kept                    /* somebody keeps a read lock on it */
       fi;
#ifndef M_RESUMENOINODE
       if :: path != x -> goto not_now :: else fi;
#endif
       if
       :: life[x] != UNBORN ->
          atomic { write_to(x); inc[x]++; unlinks = true }; /* repair */
          atomic { life[x] = OPEN; NOTE(x); come_up() };
          goto live
       :: true ->                                  /* can't be repaired: set aside */
          atomic { name_changes(0) };              /* shm_file_set_aside() */
          atomic { let_go(f, P(me)) };
          goto create
       fi;
kept:
#ifdef M_ASIDEBLIND
       atomic { if :: path == 0 -> goto not_now :: else -> name_changes(0) fi };
#else
       /* shm_file_hold(), as a cleaner: beside that read lock, but no other cleaner, and no writer. */
       atomic { if :: lockx[x] || flocked[x] -> goto not_now :: else -> lockr[x] = lockr[x] | (4 << me); flocked[x] = 4 << me fi };
       if :: path == x :: else -> goto not_now fi;
       atomic { name_changes(0) };
       atomic { stop_cleaning(x) };
#endif
       atomic { let_go(f, P(me)) };
       goto create;
not_now:
       atomic { stop_cleaning(x); let_go(f, P(me)) }
    od;

    /* .path: an empty file that is there, or that somebody made for it */
place:
    atomic { if :: path == 0 && next < NI -> path = next; next++ :: else fi };
    atomic { if :: path == 0 -> goto leave :: else -> x = path; new_file(); open_file(f, x) fi };
    if
    :: atomic { lockx[x] == 0 && lockr[x] == 0 -> lockx[x] = f; NOTE(x) }
    :: else -> goto leave
    fi;
    if :: life[x] != UNBORN -> goto leave :: else fi;
#ifndef M_PLACENOINODE
    if :: path != x -> goto leave :: else fi;
#endif
    atomic { write_to(x); inc[x] = 1; life[x] = OPEN; unlinks = false; come_up() };
    goto live;

    /* .fd of who handed over: the lock is there, or free if nobody holds the file otherwise */
given:
    if :: lockx[x] == f :: else -> goto leave fi;
    atomic { write_to(x); inc[x]++; life[x] = OPEN; NOTE(x); unlinks = false;
      if :: path == x -> come_up() :: else fi };    /* else somebody removed it meanwhile */

live:
    busy[me] = false;
    if
    :: atomic { way == 0 ->                        /* vmt_segment_hand_over(), then exit or exec */
         held[f] = held[f] | WAY; way = f; up[me] = 0;
#ifndef M_NOSTOP
         writers[w[me]]--; w[me] = 0
#endif
       };
       goto leave
    :: true                                        /* vmt_segment_close() */
    fi;
    busy[me] = true;
    atomic { life[x] = CLOSED; NOTE(x); up[me] = 0 };
#ifdef M_UNLOCKFIRST
    atomic { stop_writing(); unlock(x) };
#endif
    if
    :: unlinks ->                                  /* unlink_own() */
#ifndef M_UNLINKANY
       if :: path == x :: else -> goto gone fi;
#endif
       atomic { if :: path -> assert(path == x || writers[path] == 0); path = 0 :: else fi }
    :: true                                        /* .keep */
    fi;
gone:
#ifdef M_UNLOCKEARLY
    atomic { unlock(x) };
    atomic { stop_writing() };
#else
    atomic { stop_writing() };                     /* leave(): who still counts goes on in private memory */
    atomic { unlock(x) };                          /* not left to the last holder, which may be a child */
#endif
leave:
    atomic { stop_writing();
      if :: f && (held[f] & P(me)) -> let_go(f, P(me)) :: else fi;
      busy[me] = false; x = 0; f = 0; old = 0; t = 0; unlinks = false };
    goto end_again
  } unless { atomic { dead[me] ->
      dead[me] = false; busy[me] = false; stop_cleaning(x);
      if :: f && (held[f] & P(me)) -> let_go(f, P(me)) :: else fi;
      if :: old -> let_go(5 + me, P(me)) :: else fi;
      x = 0; f = 0; old = 0; t = 0; unlinks = false; goto end_again } }
}
/* The kernel: a process stops first, then what it held is let go of. */
#define STOP(me) \
  dead[me] = true; up[me] = 0; if :: w[me] -> writers[w[me]]--; w[me] = 0 :: else fi
proctype Kill() {
end:
  do
  :: atomic { kills < KILLS && (busy[0] || up[0]) -> kills++; STOP(0) }
  :: atomic { kills < KILLS && (busy[1] || up[1]) -> kills++; STOP(1) }
  od
}
/* Somebody with rm. */
proctype Outsider() {
end:
  do
  :: atomic { rms < RMS && path && !busy[0] && !busy[1] -> rms++;
       if :: up[0] == path -> up[0] = 0 :: else fi;
       if :: up[1] == path -> up[1] = 0 :: else fi;
       path = 0 }
  od
}
/* The child of whoever has a segment. It never writes; its handler, vmt_child_after_fork(), lets go. */
#define HAS(me, f) (held[f] & P(me) -> f : 0)
#define HIS(me) (HAS(me, 1) + HAS(me, 2) + HAS(me, 3) + HAS(me, 4))
#ifdef M_FORKBUSY
#define CAN_FORK(me) (forks < FORKS && !dead[me])
#else
#define CAN_FORK(me) (forks < FORKS && !dead[me] && !busy[me])
#endif
proctype Child() { byte f; bool knows;
end:
  do
  :: atomic { CAN_FORK(0) && HIS(0) ->
       forks++; f = HIS(0); held[f] = held[f] | CHILD; knows = !busy[0] };
     goto handler
  :: atomic { CAN_FORK(1) && HIS(1) ->
       forks++; f = HIS(1); held[f] = held[f] | CHILD; knows = !busy[1] };
handler:
     atomic { if :: knows -> let_go(f, CHILD) :: else fi; assert(!(held[f] & CHILD)); f = 0; knows = false }
  od
}
proctype Cleaner(byte who) { byte x;
end:
  do
  :: atomic { gcs < GCS && path -> gcs++; x = path };
#ifndef M_GCNOLOCK
     if :: atomic { lockx[x] == 0 -> lockr[x] = lockr[x] | who } :: else -> goto done fi;
#endif
     if :: life[x] == UNBORN -> goto done :: else fi;
#ifndef M_GCSHARED
     if :: atomic { flocked[x] == 0 -> flocked[x] = who } :: else -> goto done fi;
#endif
#ifndef M_GCNOINODE
     if :: path != x -> goto done :: else fi;
#endif
     atomic { if :: path -> name_changes(0) :: else fi };
done:
     atomic { lockr[x] = lockr[x] & (15 - who); if :: flocked[x] == who -> flocked[x] = 0 :: else fi; x = 0 }
  od
}
/* shm_state(), once, and only an answer that it gives. */
proctype Reader() { byte h, i, verdict, n; bool a;
end:
  do
  :: atomic { n < READS && path && life[path] != UNBORN -> n++; rx = path; seen = TRUTH(rx);
#ifdef M_ONELOOK
       a = lockx[rx] != 0 };
     h = life[rx];
     atomic { if
       :: (lockx[rx] != 0) == a ->
#else
       h = life[rx]; i = inc[rx] };
     a = lockx[rx] != 0;
     atomic { if
       :: life[rx] == h && inc[rx] == i ->
#endif
          verdict = (h == CLOSED -> 4 : (a -> 1 : 2));
          assert(verdict & seen)
       :: else
       fi;
       rx = 0; seen = 0; h = 0; i = 0; a = false; verdict = 0 }
  od
}
/* At first there is no file, one of a writer that died, or one that was closed and kept. */
init { atomic {
  if :: path = 0 :: path = 1; life[1] = OPEN; inc[1] = 1 :: path = 1; life[1] = CLOSED; inc[1] = 1 fi;
  run Process(0); run Process(1); run Kill(); run Child(); run Outsider(); run Cleaner(1); run Cleaner(2); run Reader() } }
